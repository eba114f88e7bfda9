import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { runMain } from "./setup/failure.mjs";
import { NODE, ROOT } from "./setup/project.mjs";
import { handOver } from "./setup/root.mjs";

const HELP = `npm test - the unit tests, then the end-to-end tests; sets the clone up first

  npm test -- [--unit | --e2e] [arguments for vitest]   npm test -- packages/cli -t "exit code"
`;
/** Each is one run of vitest: the quick ones are done before anything real is started. */
const RUNS = {
  unit: ["--project", "unit"],
  e2e: ["--project", "e2e"],
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
  const names = only.length > 0 ? only : Object.keys(RUNS);
  return runAll(
    names,
    args.filter((word) => word !== "--unit" && word !== "--e2e"),
  );
});

/** All of them, also after a failure; the last line is the sum. */
async function runAll(names, args) {
  const folder = mkdtempSync(join(tmpdir(), "aegis-tests-"));
  const sum = { passed: 0, failed: 0 };
  let code = 0;
  try {
    for (const name of names) {
      process.stdout.write(`\n=== ${name} tests\n`);
      const report = join(folder, `${name}.json`);
      const ended = await vitest([...RUNS[name], ...args], report);
      code ||= ended;
      add(sum, report, ended);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.stdout.write(`\n${sum.passed} passed, ${sum.failed} failed\n`);
  return code;
}

function vitest(args, report) {
  const run = [
    "run",
    "--root",
    ROOT,
    "--passWithNoTests",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ];
  const env = { ...process.env, PATH: `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}` };
  return handOver(NODE, [join(ROOT, "node_modules/vitest/vitest.mjs"), ...run, ...args], { env });
}

/** A run that broke before its report counts as one failure. */
function add(sum, report, code) {
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(readFileSync(report, "utf8"));
    sum.passed += numPassedTests;
    // a file that could not be loaded has no failed tests, but is a failure
    sum.failed += Math.max(numFailedTests, code === 0 ? 0 : Math.min(1, numFailedTestSuites));
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    if (code !== 0) sum.failed += 1;
  }
}
