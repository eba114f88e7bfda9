import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runCommand } from "./command.mjs";
import { SetupFailure } from "./failure.mjs";
import { asOwner } from "./owner.mjs";
import { step } from "./progress.mjs";
import { BUN, NODE, ROOT } from "./project.mjs";

const STAMP = join(ROOT, "node_modules/.aegis-stamp");
/** What the two packages with a program inside run after their unpacking, where npm does not do it for them. */
const FETCHERS = [
  { program: NODE, folder: "node_modules/node", script: "installArchSpecificPackage.js" },
  { program: BUN, folder: "node_modules/bun", script: "install.js" },
];

/** Installs the npm packages where they are missing or package-lock.json has changed. */
export async function ensureNpmPackages({ install }) {
  const wanted = createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex");
  const isDone = existsSync(NODE) && existsSync(BUN) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted;
  if (isDone) return;
  if (!install) {
    if (existsSync(NODE) && existsSync(BUN)) return;
    throw new SetupFailure(
      "the npm packages are not installed and --no-install was given.\nRun `npm install`, then start again.",
    );
  }
  await step("installing npm packages (Node 24, Bun and this project's libraries, about 600 MB)", async (report) => {
    await npmInstall(report);
    for (const fetcher of FETCHERS) await fetchProgram(fetcher, report);
    const stamped = await runCommand(process.execPath, ["-e", writeStamp, STAMP, wanted], { cwd: ROOT, ...asOwner() });
    if (stamped.code !== 0) throw new SetupFailure(`${STAMP} cannot be written:\n${stamped.tail}`);
  });
}

const writeStamp = 'require("node:fs").writeFileSync(process.argv[1], process.argv[2])';

async function npmInstall(report) {
  // not `npm ci`: it would take the libraries away from under a running daemon
  const args = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=http"];
  let fetched = 0;
  const onLine = (line) => {
    if (/\bhttp fetch GET 200\b/.test(line)) report(`${(fetched += 1)} files fetched`);
  };
  const { command, script } = npm();
  const { code, tail } = await runCommand(command, [...script, ...args], { cwd: ROOT, onLine, ...asOwner() });
  if (code === 0) return;
  throw new SetupFailure(
    `npm could not install the packages (exit code ${code}):\n${tail}\n` +
      "Is the npm registry reachable (`npm ping`; behind a proxy set HTTPS_PROXY), and is there space on the disk (`df -h .`)?\n" +
      "Then start again: it goes on where it stopped.",
  );
}

/** The npm that belongs to whoever called us, else the one beside our Node, else the one on PATH. */
function npm() {
  const called = process.env["npm_execpath"];
  if (called !== undefined && existsSync(called)) return { command: process.execPath, script: [called] };
  const beside = join(dirname(process.execPath), "npm");
  return { command: existsSync(beside) ? beside : "npm", script: [] };
}

async function fetchProgram({ program, folder, script }, report) {
  if (existsSync(program)) return;
  report(`fetching the program of ${folder}`);
  const { code, tail } = await runCommand(process.execPath, [script], { cwd: join(ROOT, folder), ...asOwner() });
  if (code === 0 && existsSync(program)) return;
  throw new SetupFailure(
    `the npm package in ${folder} came without its program, ${program}:\n${tail}\n` +
      "Are install scripts switched off (`npm config get ignore-scripts`)? Run `npm rebuild`, then start again.",
  );
}
