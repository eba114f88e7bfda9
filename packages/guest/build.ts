import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildFolder, copyExecutable, run, runAsProgram } from "./build-folder.ts";

/**
 * Builds what is mounted at /.aegis of an instance:
 * `OUTDIR/{aegis-guest, bin/*, tini, lib/ld-linux-x86-64.so.2, lib/*.so.*}`, with the commands of the instance in bin.
 * Run with `node packages/guest/build.ts OUTDIR`, or import {@link buildGuest}.
 */
const HERE = dirname(fileURLToPath(import.meta.url));
const ENTRY = join(HERE, "src/main.ts");
const SOURCES = ["src", "../protocol/src", "../sdk/src", "../cli/src"].map((folder) => join(HERE, folder));
const TOOLS = join(HERE, "build-folder.ts");
const LOCK = join(HERE, "../../package-lock.json");
const TINI = "/usr/bin/tini-static";
const LOADER = "ld-linux-x86-64.so.2";
const LIBRARIES = ["libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"];
const PATCHELF = "patchelf";
/** where the folder is in an instance */
const MOUNT = "/.aegis";
/** names under which the one program is on PATH */
const COMMANDS = ["aegis-guest", "aegis-mcp-guest"];

/** Nothing of the folder that the harness happens to start in may steer it. */
const BUN_BUILD = [
  "build",
  "--compile",
  "--bytecode",
  "--minify",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];

/**
 * @returns whether something had to be built; a folder that fits the sources is left alone
 * @throws Error that says what is missing and how to get it
 */
export function buildGuest(outDir: string): boolean {
  const bun = findBun();
  if (!existsSync(TINI))
    throw new Error(`${TINI} is missing: the instances need it as their init. Install it: apt-get install tini`);
  if (spawnSync(PATCHELF, ["--version"]).status !== 0)
    throw new Error(`${PATCHELF} is missing: it is needed to build aegis-guest. Install it: apt-get install patchelf`);
  return buildFolder(outDir, stampOf(bun), (folder) => fill(folder, bun));
}

function fill(folder: string, bun: string): void {
  const program = join(folder, "aegis-guest");
  run(bun, [...BUN_BUILD, ENTRY, "--outfile", program], folder);
  findOwnLibraries(program);
  mkdirSync(join(folder, "bin"), { mode: 0o755 });
  for (const name of COMMANDS) symlinkSync("../aegis-guest", join(folder, "bin", name));
  copyExecutable(TINI, join(folder, "tini"));
  mkdirSync(join(folder, "lib"), { mode: 0o755 });
  for (const [name, file] of neededLibraries(bun)) copyExecutable(file, join(folder, "lib", name));
}

/** So that it can be executed in an image that has another libc, or none: by name, and without a shell in between. */
function findOwnLibraries(program: string): void {
  const library = `${MOUNT}/lib`;
  run(PATCHELF, ["--set-interpreter", `${library}/${LOADER}`, "--force-rpath", "--set-rpath", library, program], HERE);
}

function findBun(): string {
  for (let folder = HERE; folder !== dirname(folder); folder = dirname(folder)) {
    const bun = join(folder, "node_modules/.bin/bun");
    if (existsSync(bun)) return realpathSync(bun);
  }
  throw new Error(
    "The bun package is missing: aegis-guest is compiled with it. Run npm install in the project's folder.",
  );
}

/** Loader and libraries as this machine's ldd finds them for Bun, which the compiled binary is a copy of. */
function neededLibraries(bun: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, file] of run("ldd", [bun], HERE).matchAll(/(\/\S+) \(0x/g))
    if (file !== undefined) found.set(basename(file), file);
  const missing = [LOADER, ...LIBRARIES].filter((name) => !found.has(name));
  if (missing.length > 0)
    throw new Error(
      `ldd finds no ${missing.join(", ")} on this machine: aegis-guest is built on x86-64 with glibc only.`,
    );
  return found;
}

function stampOf(bun: string): string {
  const hash = createHash("sha256");
  const files = SOURCES.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort(),
  );
  for (const file of [...files, fileURLToPath(import.meta.url), TOOLS, join(HERE, "package.json"), LOCK, TINI])
    hash.update(`${basename(file)}\0`).update(readFileSync(file));
  return hash.update(run(bun, ["--version"], HERE)).digest("hex");
}

runAsProgram(import.meta.url, ["OUTDIR"], (outDir = "") => buildGuest(outDir));
