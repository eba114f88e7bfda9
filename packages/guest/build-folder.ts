import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const STAMP = ".stamp";
const MAX_OUTPUT = 64 << 20;

/** What a built folder was made from; null where none is. */
export function readStamp(folder: string): string | null {
  const file = join(folder, STAMP);
  return existsSync(file) ? readFileSync(file, "utf8") : null;
}

/**
 * Fills a folder that appears as a whole or not at all; one that fits the stamp is left alone.
 * @param stamp tells what it is made from
 * @returns whether something had to be built
 */
export function buildFolder(outDir: string, stamp: string, fill: (folder: string) => void): boolean {
  if (readStamp(outDir) === stamp) return false;
  mkdirSync(dirname(resolve(outDir)), { recursive: true });
  const made = mkdtempSync(`${resolve(outDir)}.new-`);
  try {
    fill(made);
    writeFileSync(join(made, STAMP), stamp);
    chmodSync(made, 0o755);
    replace(made, outDir, stamp);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return true;
}

/** Another build may do the same at the same time: whoever is second finds it done. */
function replace(made: string, outDir: string, stamp: string): void {
  const old = `${made}.old`;
  try {
    if (existsSync(outDir)) renameSync(outDir, old);
    renameSync(made, outDir);
  } catch (thrown) {
    if (readStamp(outDir) !== stamp) throw thrown;
  } finally {
    rmSync(old, { recursive: true, force: true });
  }
}

export function copyExecutable(from: string, to: string): void {
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

/** @returns what it printed @throws Error with what it said when it ends otherwise */
export function run(program: string, args: string[], cwd: string, accepts: readonly number[] = [0]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: "utf8", maxBuffer: MAX_OUTPUT });
  if (status !== null && accepts.includes(status)) return stdout;
  throw new Error(`${program} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
}

/** Runs a build whose file was called as a program. @param names of its arguments, the folder to build first */
export function runAsProgram(url: string, names: readonly string[], build: (...folders: string[]) => boolean): void {
  const file = fileURLToPath(url);
  if (process.argv[1] === undefined || realpathSync(process.argv[1]) !== file) return;
  const folders = process.argv.slice(2);
  const [outDir] = folders;
  if (outDir === undefined || folders.length !== names.length)
    throw new Error(`usage: node ${file} ${names.join(" ")}`);
  process.stdout.write(build(...folders) ? `built ${outDir}\n` : `${outDir} is up to date\n`);
}
