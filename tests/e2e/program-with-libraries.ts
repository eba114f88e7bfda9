import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Copies a program of the host into a root file system, with every library it is linked to. */
export async function copyProgram(folder: string, program: string, target: string): Promise<void> {
  await mkdir(join(folder, dirname(target)), { recursive: true });
  await copyFile(await realpath(program), join(folder, target));
  for (const library of await librariesOf(program)) {
    await mkdir(join(folder, dirname(library)), { recursive: true });
    await cp(await realpath(library), join(folder, library), { force: true });
  }
}

async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run("ldd", [program]);
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
}
