import { spawn } from "node:child_process";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import Type from "typebox";
import { Check } from "typebox/value";
import { exists } from "../linux/cgroup-layout.ts";
import { hostBootId } from "../linux/process-identity.ts";
import type { Accelerator } from "./qemu-command.ts";
import type { VmParts } from "./vm-parts.ts";

/** What the first process says when it was told to say that it came up (packages/guest/vm/init.sh). */
const CAME_UP = "aegis: came up";
/** A kernel is up within a second with hardware help; a device that is there and boots nothing may hang for minutes. */
const PROBE_MS = 15_000;
const KVM = "/dev/kvm";
/** without one of these flags a KVM device is for guests that know of it, which Debian's kernel is none of */
const CAN_VIRTUALIZE = /^flags\s*:.*\b(vmx|svm)\b/m;
/** of the host, for all homes; aegis doctor reads it too */
const VERDICT = "/run/aegis/kvm.json";
const MAX_OUTPUT = 64 * 1024;

const Verdict = Type.Object({
  /** of the host and of what was tried: with another one it is tried again */
  boot: Type.String(),
  platform: Type.String(),
  failure: Type.Union([Type.String(), Type.Null()]),
});

/**
 * Boots a kernel and ends it again.
 * @returns null when it came up in time, else why not
 */
export async function whyNoBoot(
  accelerator: Accelerator,
  { qemu, vmDir }: Pick<VmParts, "qemu" | "vmDir">,
  deadlineMs = PROBE_MS,
): Promise<string | null> {
  const words = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "192M", "-serial", "stdio"];
  words.push("-machine", `q35,accel=${accelerator}`, "-cpu", accelerator === "kvm" ? "host" : "max");
  words.push("-kernel", join(vmDir, "vmlinuz"), "-initrd", join(vmDir, "initramfs.cpio"));
  words.push("-append", "console=ttyS0 quiet panic=-1 aegis.probe");
  const child = spawn(qemu, words, { stdio: ["ignore", "pipe", "pipe"], timeout: deadlineMs, killSignal: "SIGKILL" });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      if (text.length < MAX_OUTPUT) text += chunk.toString("utf8");
    });
  const { promise, resolve } = Promise.withResolvers<string | null>();
  child.once("error", (error) => resolve(error.message));
  child.once("close", (code, signal) => {
    if (text.includes(CAME_UP)) resolve(null);
    else if (signal === "SIGKILL") resolve(`nothing came up within ${deadlineMs / 1000} s`);
    else resolve(text.trim().split("\n", 1)[0] || `QEMU ended by itself (${signal ?? code})`);
  });
  return promise;
}

/** What can be told without booting a kernel. */
export async function whyNoHardware(): Promise<string | null> {
  if (!(await exists(KVM))) return `this machine has no ${KVM}`;
  if (CAN_VIRTUALIZE.test(await readFile("/proc/cpuinfo", "utf8"))) return null;
  return `${KVM} is there, but the processor shows no hardware virtualization`;
}

/**
 * That /dev/kvm can be opened says little: a kernel is booted with it, once for each boot of the host.
 * @returns null where KVM works, else why it does not
 */
export async function whyNoKvm(parts: VmParts, file = VERDICT): Promise<string | null> {
  const lacking = await whyNoHardware();
  if (lacking !== null) return lacking;
  const boot = await hostBootId();
  const known = await readVerdict(file);
  const isKnown = known?.boot === boot && known.platform === parts.platform;
  const failure = isKnown ? known.failure : await whyNoBoot("kvm", parts);
  if (!isKnown) await writeVerdict(file, { boot, platform: parts.platform, failure });
  return failure === null ? null : `${KVM} is there, but no kernel boots with it (${failure})`;
}

async function readVerdict(file: string): Promise<Type.Static<typeof Verdict> | null> {
  try {
    const verdict: unknown = JSON.parse(await readFile(file, "utf8"));
    return Check(Verdict, verdict) ? verdict : null;
  } catch {
    return null; // none yet, or a broken one: it is tried again
  }
}

async function writeVerdict(file: string, verdict: Type.Static<typeof Verdict>): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o711 });
  await writeFile(`${file}.new`, JSON.stringify(verdict));
  await rename(`${file}.new`, file);
}
