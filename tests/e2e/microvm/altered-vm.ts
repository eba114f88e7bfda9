import { mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpioArchive } from "../../../packages/daemon/src/drivers/microvm/cpio.ts";
import { vmFolder } from "../driver-host.ts";

const SCRIPTS = fileURLToPath(new URL("../../../packages/guest/vm", import.meta.url));

/** One of the scripts that keep a virtual machine, as it is. */
export const vmScript = (name: string): string => readFileSync(join(SCRIPTS, name), "utf8");

/**
 * What virtual machines boot from, but with other scripts in it. @param scripts text by name
 * @returns a folder to be removed
 */
export function alteredVm(scripts: Readonly<Record<string, string>>): string {
  const honest = vmFolder();
  const folder = mkdtempSync(join(tmpdir(), "aegis-altered-vm-"));
  for (const name of ["vmlinuz", "harness.erofs", ".stamp"]) symlinkSync(join(honest, name), join(folder, name));
  const files = Object.fromEntries(Object.entries(scripts).map(([name, text]) => [`vm/${name}`, text]));
  const initramfs = readFileSync(join(honest, "initramfs.cpio"));
  // of two files with one name, the kernel keeps the later one
  writeFileSync(join(folder, "initramfs.cpio"), Buffer.concat([initramfs, cpioArchive([], files)]));
  return folder;
}
