import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import { BOOT_NAME } from "../linux/boot-leftovers.ts";
import type { InstanceLink } from "../linux/network/instance-link.ts";
import { runCommand } from "../linux/run-command.ts";
import { INHERITED } from "./qemu-command.ts";

const MAX_TEXT = 4096;

/**
 * Starts QEMU in its control groups, with namespaces of its own: no network but the interface that it makes itself, which
 * is then handed to the host. Descriptors 3 to 5 are sockets that it listens on.
 */
const START_SCRIPT = `
set -eu
cd "$1"
for group in $2; do echo 0 > "$group/cgroup.procs"; done
shift 2
exec unshare --net --ipc --uts -- setpriv --no-new-privs -- "$@"
`;

/** The interface is the host's from here on, under rules that go by its name. It goes away with QEMU's descriptor. */
const ADOPT_LINK_SCRIPT = `
set -eu
nsenter "--net=/proc/$1/ns/net" ip link set "$2" netns "$3"
ip -batch - <<END
link set $2 up
route add $4/32 dev $2 src $5
END
echo 1 > "/proc/sys/net/ipv4/conf/$2/forwarding"
echo 1 > "/proc/sys/net/ipv4/conf/$2/rp_filter"
if [ -e "/proc/sys/net/ipv6/conf/$2/disable_ipv6" ]; then echo 1 > "/proc/sys/net/ipv6/conf/$2/disable_ipv6"; fi
`;

/** In the order of INHERITED. */
export interface QemuDescriptors {
  sockets: readonly number[];
  disk: readonly number[];
}

export interface QemuProcess {
  pid: number;
  /** what it said so far, for when it ends too early */
  text(): string;
  ended: Promise<void>;
  /** lets go of what it says */
  close(): void;
  /** where the memory of a machine that is taken up goes in; null for one that boots */
  memory: Writable | null;
}

export function startQemu(
  folder: string,
  groups: readonly string[],
  inherited: QemuDescriptors,
  command: string[],
  takesUp: boolean,
): QemuProcess {
  const child = spawn("sh", ["-c", START_SCRIPT, BOOT_NAME, folder, groups.join(" "), ...command], {
    stdio: ["ignore", "ignore", "pipe", ...inherited.sockets, takesUp ? "pipe" : "ignore", ...inherited.disk],
    detached: true,
  });
  const { pid } = child;
  if (pid === undefined) throw new AegisError("driver_failed", "The virtual machine cannot start: there is no sh.");
  child.unref();
  const memory = takesUp ? (child.stdio[INHERITED.memory as 4] as unknown as Writable) : null;
  memory?.on("error", () => undefined);
  return { pid, memory, ...collectErrors(child) };
}

function collectErrors(child: ChildProcess): Omit<QemuProcess, "pid" | "memory"> {
  let text = "";
  const errors = child.stderr;
  errors?.on("data", (chunk: Buffer) => {
    if (text.length < MAX_TEXT) text += chunk.toString("utf8");
  });
  errors?.on("error", () => undefined);
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once("close", () => resolve());
  child.once("error", () => resolve());
  return { text: () => text.trim().slice(0, MAX_TEXT), ended: promise, close: () => errors?.destroy() };
}

/** To be called once the monitor answers: then the interface is there. */
export async function adoptLink(pid: number, link: InstanceLink, gateway: string): Promise<void> {
  const { interfaceName, address } = link;
  const words = [String(pid), interfaceName, String(process.pid), address, gateway];
  await runCommand("sh", ["-c", ADOPT_LINK_SCRIPT, "aegis-link", ...words]);
}

/** In the boot's folder. */
export const sockets = (folder: string) => ({
  harness: join(folder, "harness.sock"),
  agent: join(folder, "agent.sock"),
  monitor: join(folder, "monitor.sock"),
});
