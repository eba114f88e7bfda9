import { spawn } from "node:child_process";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import Type from "typebox";
import { Check } from "typebox/value";
import { exists } from "../linux/cgroup-layout.ts";
import { hostBootId } from "../linux/process-identity.ts";
import type { Accelerator } from "./qemu-command.ts";

/** What the first process says when it was told to say that it came up (packages/guest/vm/init.sh). */
const CAME_UP = "aegis: came up";
/** A kernel is up within a second with hardware help; a device that is there and boots nothing may hang for minutes. */
const PROBE_MS = 15_000;
const KVM = "/dev/kvm";
const MAX_OUTPUT = 64 * 1024;

const Verdict = Type.Object({
  /** of the host and of what was tried: with another one it is tried again */
  boot: Type.String(),
  platform: Type.String(),
  failure: Type.Union([Type.String(), Type.Null()]),
});

export interface AcceleratorWish {
  qemu: string;
  vmDir: string;
  /** names QEMU, kernel and harness */
  platform: string;
  /** where the verdict is kept until the host's next boot */
  file: string;
}

/**
 * Boots a kernel and ends it again.
 * @returns null when it came up in time, else why not
 */
export async function whyNoBoot(
  accelerator: Accelerator,
  { qemu, vmDir }: Pick<AcceleratorWish, "qemu" | "vmDir">,
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

/**
 * KVM where a kernel boots with it: that the device can be opened says little. It is tried once for each boot of the host.
 * @returns with the reason where it is not KVM
 */
export async function chooseAccelerator(wish: AcceleratorWish, log: (message: string) => void): Promise<Accelerator> {
  if (!(await exists(KVM))) return "tcg";
  const boot = await hostBootId();
  const known = await readVerdict(wish.file);
  const isKnown = known?.boot === boot && known.platform === wish.platform;
  const failure = isKnown ? known.failure : await whyNoBoot("kvm", wish);
  if (!isKnown) await writeVerdict(wish.file, { boot, platform: wish.platform, failure });
  if (failure === null) return "kvm";
  log(`virtual machines run without hardware help: ${KVM} is there, but no kernel boots with it (${failure})`);
  return "tcg";
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
