import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildFolder, copyExecutable, readStamp, run, runAsProgram } from "./build-folder.ts";

/**
 * Builds what a virtual machine boots from: `OUTDIR/{vmlinuz, initramfs.cpio, harness.erofs}`. The kernel and its modules
 * come out of Debian's package of the cloud kernel, which is fetched and not installed.
 * Run with `node packages/guest/build-vm.ts OUTDIR GUESTDIR`, GUESTDIR as `build.ts` makes it.
 */
const HERE = dirname(fileURLToPath(import.meta.url));
const SCRIPTS = join(HERE, "vm");
const KERNEL = "linux-image-cloud-amd64";
const RUNTIME = "/usr/bin/crun";
const BUSYBOX = "/bin/busybox";
/** Debian is never without it */
const PERL = "/usr/bin/perl";
/** where the disk with the programs is in the virtual machine */
const RUNTIME_MOUNT = "/aegis/vm";
const LOADER = "ld-linux-x86-64.so.2";
const MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_balloon", "erofs", "overlay"];
const MORE_MODULES = ["virtiofs", "crc32c_intel"];
const APPLETS =
  "sh mount umount insmod mkdir cp switch_root ip nsenter cat echo poweroff mkfifo sync printf chown chmod".split(" ");

/** @returns whether something had to be built @throws Error that says what is missing and how to get it */
export function buildVm(outDir: string, guestDir: string): boolean {
  for (const [file, name] of [
    [RUNTIME, "crun"],
    [BUSYBOX, "busybox-static"],
    [PERL, "perl-base"],
  ] as const)
    if (!existsSync(file)) throw new Error(`${file} is missing. Install it: apt-get install ${name}`);
  const kernel = kernelPackage();
  return buildFolder(outDir, stampOf(kernel, guestDir), (folder) => fill(folder, kernel, guestDir));
}

function fill(made: string, kernel: string, guestDir: string): void {
  const unpacked = join(made, "kernel");
  fetchKernel(kernel, unpacked);
  const version = kernel.replace(/^linux-image-/, "");
  copyFileSync(join(unpacked, "boot", `vmlinuz-${version}`), join(made, "vmlinuz"));
  makeInitramfs(join(made, "initramfs"), join(unpacked, "lib/modules", version), join(made, "initramfs.cpio"));
  makeHarnessDisk(join(made, "disk"), guestDir, join(made, "harness.erofs"));
  for (const folder of ["kernel", "initramfs", "disk"]) rmSync(join(made, folder), { recursive: true });
}

/** The package that Debian's meta package stands for at present. A machine may have no lists of packages yet. */
function kernelPackage(): string {
  const found = findKernel() ?? (run("apt-get", ["update", "--quiet"], HERE), findKernel());
  if (found === undefined)
    throw new Error(`apt knows no ${KERNEL}, whose kernel the virtual machines boot. Debian 12 and later have it.`);
  return found;
}

const findKernel = (): string | undefined =>
  /Depends: (linux-image-\S+)/.exec(run("apt-cache", ["depends", KERNEL], HERE, [0, 100]))?.[1];

/** Lists that are older than the mirror name a file that is gone. */
function fetchKernel(name: string, into: string): void {
  mkdirSync(into);
  const download = ["download", "-o", "APT::Sandbox::User=root", name];
  try {
    run("apt-get", download, into);
  } catch {
    run("apt-get", ["update", "--quiet"], into);
    run("apt-get", download, into);
  }
  const [file] = readdirSync(into).filter((each) => each.endsWith(".deb"));
  if (file === undefined) throw new Error(`apt-get download ${name} brought no package.`);
  run("dpkg-deb", ["-x", file, "."], into);
}

function makeInitramfs(folder: string, modules: string, archive: string): void {
  for (const name of ["bin", "dev", "modules", "proc", "root", "sys", "vm"])
    mkdirSync(join(folder, name), { recursive: true });
  copyExecutable(BUSYBOX, join(folder, "bin/busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(folder, "bin", applet));
  copyExecutable(join(SCRIPTS, "init.sh"), join(folder, "init"));
  for (const name of readdirSync(SCRIPTS))
    if (name !== "init.sh") copyFileSync(join(SCRIPTS, name), join(folder, "vm", name));
  const order = inOrder(modules, [...MODULES, ...MORE_MODULES]);
  for (const file of order) copyFileSync(file, join(folder, "modules", basename(file)));
  writeFileSync(join(folder, "modules/order"), order.map((file) => `${basename(file)}\n`).join(""));
  run("sh", ["-c", `find . | sort | ${BUSYBOX} cpio -o -H newc -R 0:0 > "$1"`, "cpio", archive], folder);
}

/** Files of the modules, each behind those it needs, as their own description says. What is built in has no file. */
function inOrder(folder: string, wanted: readonly string[]): string[] {
  const underscored = (name: string): string => name.replaceAll("-", "_");
  const files = new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(({ name }) => name.endsWith(".ko"))
      .map(({ parentPath, name }) => [underscored(basename(name, ".ko")), join(parentPath, name)]),
  );
  const order: string[] = [];
  const add = (name: string): void => {
    const file = files.get(underscored(name));
    if (file === undefined || order.includes(file)) return;
    const needs = /\0depends=([^\0]*)\0/.exec(readFileSync(file, "latin1"))?.[1] ?? "";
    needs.split(",").filter(Boolean).forEach(add);
    order.push(file);
  };
  wanted.forEach(add);
  return order;
}

/** The virtual machine has no loader and no libraries of its own. */
function makeHarnessDisk(folder: string, guestDir: string, image: string): void {
  mkdirSync(join(folder, "vm/lib"), { recursive: true });
  run("cp", ["-a", realpathSync(guestDir), join(folder, "guest")], HERE);
  for (const program of [RUNTIME, PERL]) bringProgram(program, join(folder, "vm"));
  run("mkfs.erofs", ["--quiet", "-x-1", "--all-root", "-T0", image, folder], HERE);
}

function bringProgram(program: string, folder: string): void {
  const copy = join(folder, basename(program));
  copyExecutable(program, copy);
  for (const [file] of run("ldd", [program], HERE).matchAll(/\/\S+/g))
    copyExecutable(file, join(folder, "lib", basename(file)));
  const library = `${RUNTIME_MOUNT}/lib`;
  run("patchelf", ["--set-interpreter", `${library}/${LOADER}`, "--force-rpath", "--set-rpath", library, copy], HERE);
}

function stampOf(kernel: string, guestDir: string): string {
  const hash = createHash("sha256")
    .update(kernel)
    .update(readStamp(guestDir) ?? "");
  const scripts = readdirSync(SCRIPTS)
    .sort()
    .map((name) => join(SCRIPTS, name));
  for (const file of [fileURLToPath(import.meta.url), RUNTIME, BUSYBOX, PERL, ...scripts])
    hash.update(readFileSync(file));
  return hash.digest("hex");
}

runAsProgram(import.meta.url, ["OUTDIR", "GUESTDIR"], (outDir = "", guestDir = "") => buildVm(outDir, guestDir));
