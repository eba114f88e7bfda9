import { writeFileSync } from "node:fs";
import { failuresOf } from "./test-failures.mjs";

const PATIENCE_MS = 30_000;
/** Where the outcome of a run goes: `{ passed, failures: { name, error }[] }`. */
export const OUTCOME = "AEGIS_TEST_OUTCOME";

/**
 * Tells what failed in a file as soon as that is done, writes all of it to a file, and ends vitest some time after the last
 * test: a process that a test left behind and that has inherited the descriptors of a worker would hold it for as long as
 * that lives.
 */
export default class TestReporter {
  onTestModuleEnd(module) {
    for (const { name, error } of failuresOf([module], [])) process.stderr.write(`FAILED ${name}\n  ${error}\n`);
  }

  onTestRunEnd(modules, unhandled) {
    const path = process.env[OUTCOME];
    if (path !== undefined) writeFileSync(path, JSON.stringify(outcomeOf(modules, unhandled)));
    setTimeout(() => {
      process.stderr.write("A test left a process behind, which held this run up.\n");
      process.exit();
    }, PATIENCE_MS).unref();
  }
}

function outcomeOf(modules, unhandled) {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const passed = tests.filter((test) => test.result().state === "passed").length;
  return { passed, failures: failuresOf(modules, unhandled) };
}
