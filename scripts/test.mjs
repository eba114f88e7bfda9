import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { runMain } from "./setup/failure.mjs";
import { NODE, ROOT } from "./setup/project.mjs";
import { handOver } from "./setup/root.mjs";
import { readReport } from "./setup/test-report.mjs";

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

/** All of them, also after a failure. What failed is named at the very end: the tail is what is kept of a long output. */
async function runAll(names, args) {
  const folder = mkdtempSync(join(tmpdir(), "aegis-tests-"));
  let passed = 0;
  let failed = 0;
  let told = "";
  let code = 0;
  try {
    for (const name of names) {
      process.stdout.write(`\n=== ${name} tests\n`);
      const report = join(folder, `${name}.json`);
      const ended = await vitest([...RUNS[name], ...args], report);
      code ||= ended;
      const result = readReport(name, report, ended, ROOT);
      passed += result.passed;
      failed += result.failures.length;
      for (const { name: test, error } of result.failures) told += `\nFAILED ${test}\n  ${error}\n`;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.stdout.write(`${told}\n${passed} passed, ${failed} failed\n`);
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
    `--reporter=${join(ROOT, "scripts/setup/end-of-run.mjs")}`,
    `--outputFile.json=${report}`,
  ];
  const env = { ...process.env, PATH: `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}` };
  return handOver(NODE, [join(ROOT, "node_modules/vitest/vitest.mjs"), ...run, ...args], { env });
}
