import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { OUTCOME } from "./setup/test-reporter.mjs";
import { runMain } from "./setup/failure.mjs";
import { NODE, ROOT } from "./setup/project.mjs";
import { handOver } from "./setup/root.mjs";
import { TestRun } from "./setup/test-run.mjs";

const HELP = `npm test - the unit tests, then the end-to-end tests; sets the clone up first

  npm test -- [--unit | --e2e | --vm] [arguments for vitest]   npm test -- packages/cli -t "exit code"

  --vm                       some of the end-to-end tests on virtual machines; without arguments they are a part of it
  AEGIS_DRIVER=microvm       the end-to-end tests on virtual machines, all that can be: about an hour without KVM
`;
/** as a shell has it after Ctrl-C */
const INTERRUPTED = 130;
/** Each is one run of vitest: the quick ones are done before anything real is started. */
const RUNS = {
  unit: ["--project", "unit"],
  e2e: ["--project", "e2e"],
  vm: ["--project", "vm"],
};

await runMain(async () => {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(HELP);
    return 0;
  }
  const done = await bootstrap({ tests: true, why: "the end-to-end tests run real instances" });
  if (done !== null) return done;
  const only = Object.keys(RUNS).filter((name) => args.includes(`--${name}`));
  const rest = args.filter((word) => !Object.keys(RUNS).includes(word.replace(/^--/, "")));
  return runAll(only.length > 0 ? only : usualRuns(rest), rest);
});

/** What was asked for by name is run once. */
function usualRuns(args) {
  const isOnVms = process.env["AEGIS_DRIVER"] === "microvm";
  return args.length > 0 || isOnVms ? ["unit", "e2e"] : ["unit", "e2e", "vm"];
}

/** All of them, also after a failure. What failed is named at the very end: the tail is what is kept of a long output. */
async function runAll(names, args) {
  const run = new TestRun();
  const results = [];
  let code = 0;
  try {
    for (const name of names) {
      process.stdout.write(`\n=== ${name} tests\n`);
      const outcome = join(run.folder, `${name}.json`);
      const ended = await vitest([...RUNS[name], ...args], run, outcome);
      code ||= ended;
      results.push(readOutcome(name, outcome, ended));
      if (!run.wasInterrupted(ended)) continue;
      code ||= INTERRUPTED;
      break;
    }
  } finally {
    if (!(await run.end())) code ||= 1;
  }
  process.stdout.write(summary(results));
  return code;
}

function summary(results) {
  const failures = results.flatMap((result) => result.failures);
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const told = failures.map(({ name, error }) => `\nFAILED ${name}\n  ${error}\n`).join("");
  return `${told}\n${passed} passed, ${failures.length} failed\n`;
}

/** A run that did not end well has at least one failure, also where it broke before it could say of what. */
function readOutcome(name, path, code) {
  const outcome = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { passed: 0, failures: [] };
  if (outcome.failures.length === 0 && code !== 0)
    outcome.failures.push({ name: `the ${name} tests`, error: `vitest ended with ${code}: see its own output above` });
  return outcome;
}

function vitest(args, run, outcome) {
  const options = [
    "run",
    "--root",
    ROOT,
    "--passWithNoTests",
    "--reporter=default",
    `--reporter=${join(ROOT, "scripts/setup/test-reporter.mjs")}`,
  ];
  const path = `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}`;
  const env = { ...process.env, ...run.env, [OUTCOME]: outcome, PATH: path };
  return handOver(NODE, [join(ROOT, "node_modules/vitest/vitest.mjs"), ...options, ...args], { env });
}
