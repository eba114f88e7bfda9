import { execFile } from "node:child_process";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeTestImage } from "./test-image.ts";

const run = promisify(execFile);
const PROGRAMS = /^(python3.*|dash|sh|cat|ls|mkdir|sleep)$/;
const LIBRARIES = /^(python3.*|[a-z0-9_]+-linux-gnu)$/;

/**
 * Debian's Python with a shell and nothing else, no Node above all: the parts of a root file system that has them.
 * @param rootfs of the claw image, as the store has unpacked it
 */
export async function writePythonImage(layout: string, rootfs: string): Promise<void> {
  await mkdir(layout, { recursive: true });
  const fill = async (folder: string) => {
    await copy(join(rootfs, "usr/bin"), join(folder, "usr/bin"), PROGRAMS);
    await copy(join(rootfs, "usr/lib"), join(folder, "usr/lib"), LIBRARIES);
    await copy(join(rootfs, "usr/lib64"), join(folder, "usr/lib64"), /^ld-/);
    await copy(join(rootfs, "etc"), join(folder, "etc"), /^(passwd|group|python3.*)$/);
    for (const name of ["bin", "lib", "lib64"]) await symlink(`usr/${name}`, join(folder, name));
    await mkdir(join(folder, "tmp"), { mode: 0o1777 });
  };
  await writeTestImage(layout, [{ fill }], { Env: ["PATH=/usr/bin"] });
}

async function copy(from: string, to: string, wanted: RegExp): Promise<void> {
  await mkdir(to, { recursive: true });
  const names = (await readdir(from)).filter((name) => wanted.test(name));
  if (names.length > 0) await run("cp", ["-a", ...names.map((name) => join(from, name)), to]);
}

/** The root file system of an image with Python that the store has unpacked. */
export async function unpackedWithPython(images: string): Promise<string> {
  for (const name of await readdir(join(images, "unpacked"))) {
    const rootfs = join(images, "unpacked", name, "rootfs");
    const programs = await readdir(join(rootfs, "usr/bin")).catch((): string[] => []);
    if (programs.includes("python3")) return rootfs;
  }
  throw new Error(`no image in ${images} has Python`);
}
