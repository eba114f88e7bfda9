import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { exists } from "../linux/cgroup-layout.ts";
import { runCommand } from "../linux/run-command.ts";
import { whyNoHardware, whyNoKvm } from "./accelerator.ts";

/** What virtual machines are made with. */
export interface VmParts {
  qemu: string;
  /** null where workspaces cannot be shared */
  virtiofsd: string | null;
  vmDir: string;
  /** names QEMU, kernel and harness */
  platform: string;
}

const QEMU = "qemu-system-x86_64";
const VIRTIOFSD = "/usr/lib/qemu/virtiofsd";

/** @throws AegisError `driver_failed` that says what is missing, and how to get it */
export async function findVmParts(vmDir: string): Promise<VmParts> {
  const qemu = await findProgram(QEMU);
  if (!(await exists(join(vmDir, "harness.erofs"))))
    throw new AegisError(
      "driver_failed",
      `${vmDir} holds no kernel for virtual machines. Build it: AEGIS_DRIVER=microvm npm start does.`,
    );
  const version = (await runCommand(qemu, ["--version"])).split("\n", 1)[0] ?? "";
  const stamp = await readFile(join(vmDir, ".stamp"), "utf8");
  const virtiofsd = (await exists(VIRTIOFSD)) ? VIRTIOFSD : null;
  return { qemu, virtiofsd, vmDir, platform: `${version} ${stamp}` };
}

/** Whether virtual machines are the better choice here. @returns null when they are, else what stands in the way */
export async function whyNoVms(vmDir: string): Promise<string | null> {
  const lacking = await whyNoHardware();
  if (lacking !== null) return lacking;
  try {
    const parts = await findVmParts(vmDir);
    if (parts.virtiofsd === null) return `${VIRTIOFSD} is missing, without which virtual machines have no workspaces`;
    return await whyNoKvm(parts);
  } catch (error) {
    if (error instanceof AegisError) return error.message.replace(/\.$/, "");
    throw error;
  }
}

async function findProgram(name: string): Promise<string> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, name);
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  throw new AegisError("driver_failed", `${name} is missing. Install it: apt-get install qemu-system-x86.`);
}
