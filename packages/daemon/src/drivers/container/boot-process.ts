import { spawn, type ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import { BOOT_NAME } from "../linux/boot-leftovers.ts";
import { BOOT_SCRIPT } from "./boot-script.ts";
import { diskFull, saysDiskFull } from "../linux/disk-full.ts";

export interface BootArguments {
  folder: string;
  runtime: string;
  containerId: string;
  /** v2 group to start in; empty for none */
  v2Group: string;
  /** v2 mount that the runtime must not see; empty for none */
  hiddenV2: string;
  workspace: string;
  /** `device:inode` of the workspace */
  workspaceIdentity: string;
  interfaceName: string;
  gateway: string;
  address: string;
  /** empty for none */
  diskImage: string;
  /** descriptor of the harness's listening socket */
  listenFd: number;
}

const DEADLINE_MS = 30_000;
const MAX_TEXT = 4096;

/** What the container writes to its standard streams while it boots, until {@link close}. */
export interface BootOutput {
  text(): string;
  ended: Promise<void>;
  close(): void;
}

/**
 * Runs the boot script to its end.
 * @throws AegisError `disk_full`, or `driver_failed` with what the runtime or a tool said
 */
export async function runBootScript(boot: BootArguments): Promise<BootOutput> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const args = [boot.folder, boot.runtime, boot.containerId, boot.v2Group, boot.hiddenV2];
  args.push(boot.workspace, boot.interfaceName, boot.gateway, boot.address, boot.diskImage, boot.workspaceIdentity);
  const child = spawn("unshare", ["-m", "sh", "-c", BOOT_SCRIPT, BOOT_NAME, ...args], {
    stdio: ["ignore", "ignore", "pipe", boot.listenFd, "pipe"],
    detached: true,
  });
  const errors = collect(child.stderr);
  const output = collect(child.stdio[4]);
  const timer = setTimeout(() => killGroup(child), DEADLINE_MS);
  child.once("error", reject);
  child.once("exit", (code) => {
    if (code === 0) resolve();
    else void errors.ended.then(() => reject(bootFailed(errors.text() || output.text())));
  });
  try {
    await promise;
    return output;
  } catch (error) {
    output.close();
    throw error;
  } finally {
    clearTimeout(timer);
    errors.close();
  }
}

function collect(stream: unknown): BootOutput {
  const readable = stream as Readable;
  const { promise, resolve } = Promise.withResolvers<void>();
  let text = "";
  readable.once("close", resolve);
  readable.on("data", (chunk: Buffer) => {
    if (text.length < MAX_TEXT) text += chunk.toString("utf8");
  });
  // The other end goes away with the container.
  readable.on("error", () => undefined);
  return { text: () => text.trim().slice(0, MAX_TEXT), ended: promise, close: () => readable.destroy() };
}

function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
}

function bootFailed(said: string): AegisError {
  if (saysDiskFull(said)) return diskFull();
  return new AegisError(
    "driver_failed",
    `The instance cannot start: ${said || `nothing came of it for ${DEADLINE_MS / 1000} s`}`,
  );
}
