import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureNpmPackages } from "./setup/npm-packages.mjs";

const HELP = `npm run check - everything about the code that a tool can tell without running it

  npm run check -- [STEP ...]     only some of the steps
`;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules/.bin");

/** The import layers are rules of .oxlintrc.json, so that an editor shows them too. */
const STEPS = [
  { name: "types", command: ["tsc", "-p", "."] },
  { name: "types-guest", command: ["tsc", "-p", "packages/guest"] },
  {
    name: "lint-and-layers",
    command: ["oxlint", "--type-aware", "--deny-warnings", "--report-unused-disable-directives"],
  },
  { name: "dead-code", command: ["knip", "--no-progress", "--no-config-hints"] },
  { name: "format", command: ["oxfmt", "--check"] },
];

/** Runs all of them, also after a failure. */
async function check(names) {
  const unknown = names.filter((name) => STEPS.every((step) => step.name !== name));
  if (unknown.length > 0) {
    process.stderr.write(
      `There is no step ${unknown.join(", ")}; the steps are ${STEPS.map((step) => step.name).join(", ")}.\n`,
    );
    return 2;
  }
  await ensureNpmPackages({ install: true });
  const failed = [];
  for (const step of STEPS.filter(({ name }) => names.length === 0 || names.includes(name)))
    if (!(await passes(step))) failed.push(step.name);
  process.stdout.write(failed.length === 0 ? "All checks passed.\n" : `Failed: ${failed.join(", ")}.\n`);
  return failed.length === 0 ? 0 : 1;
}

async function passes({ name, command }) {
  const started = performance.now();
  const { code, output } = await run(command);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${code === 0 ? "ok    " : "FAILED"} ${name.padEnd(16)} ${seconds.padStart(5)} s\n`);
  if (code !== 0) process.stdout.write(`${output.trimEnd()}\n\n`);
  return code === 0;
}

function run([program, ...args]) {
  const env = { ...process.env, PATH: `${BIN}${delimiter}${process.env.PATH ?? ""}` };
  const child = spawn(join(BIN, program), args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => chunks.push(chunk));
  return new Promise((resolve) => {
    const end = (code, text = "") => resolve({ code, output: Buffer.concat(chunks).toString() + text });
    child.once("error", (error) => end(127, `${program} could not be started: ${error.message}. Run npm install.`));
    child.once("close", (code) => end(code ?? 1));
  });
}

const args = process.argv.slice(2);
if (args.includes("--help") || args.includes("-h")) process.stdout.write(HELP);
else process.exitCode = await check(args);
