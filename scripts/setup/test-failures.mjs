import { stripVTControlCharacters } from "node:util";

/**
 * Everything that failed in a run of vitest, hooks of a file or of a `describe` included, which its own JSON report has
 * without their errors.
 * @param modules vitest's `TestModule`s
 * @param unhandled errors that belong to no test
 * @returns {{name: string, error: string}[]} each with the first lines of its errors
 */
export function failuresOf(modules, unhandled) {
  const failed = modules.flatMap((module) => [
    ...hookFailures(module, module.relativeModuleId),
    ...[...module.children.allSuites()].flatMap((suite) => hookFailures(suite, nameOf(suite))),
    ...[...module.children.allTests("failed")].map(testFailure),
  ]);
  return [...failed, ...unhandled.map((error) => ({ name: "no test's own", error: firstLines([error]) }))];
}

function hookFailures(suite, name) {
  const errors = suite.errors();
  return errors.length === 0 ? [] : [{ name: `${name} (before or after its tests)`, error: firstLines(errors) }];
}

function testFailure(test) {
  const took = Math.round(test.diagnostic()?.duration ?? 0);
  return { name: `${nameOf(test)} (${took} ms)`, error: firstLines(test.result().errors ?? []) };
}

const nameOf = ({ module, fullName }) => `${module.relativeModuleId} > ${fullName}`;

/** a test that ran for minutes puts what is known when it fails on one line */
const LONGEST_LINE = 4000;

/** The messages with what was expected and what was there, and the line of the test. */
const firstLines = (errors) => errors.map(describeError).join("\n  ");

function describeError({ name, message, diff, stack }) {
  const said = stripVTControlCharacters(`${name}: ${message}\n${diff ?? ""}`)
    .trim()
    .split("\n")
    .slice(0, 20);
  const own = (stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at .*\.test\.ts:/.test(line))
    .slice(0, 1);
  return [...said, ...own].map((line) => line.slice(0, LONGEST_LINE)).join("\n  ");
}
