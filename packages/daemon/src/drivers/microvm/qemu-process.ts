import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Duplex, Writable } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import { BOOT_NAME } from "../linux/boot-leftovers.ts";
import type { InstanceLink } from "../linux/network/instance-link.ts";
import { runCommand } from "../linux/run-command.ts";
import { fillerCommand, filled } from "./memory-filler.ts";
import { INHERITED, MEMORY_FILE } from "./qemu-command.ts";
import type { SealedMemory } from "./snapshot-store.ts";

const MAX_TEXT = 4096;
const CLOSED = Object.values(INHERITED)
  .map((fd) => `${fd}>&-`)
  .join(" ");

/**
 * Starts QEMU in its control groups, with namespaces of its own: no network but the interface that it makes itself, which
 * is then handed to the host. Descriptors 3 to 5 are sockets that it listens on.
 *
 * The guest's memory is a file on a file system that only these processes see, and that goes with them; in huge pages, which
 * are there many times faster, where the kernel has them. What fills it is nobody's child that would wait for it, and has
 * none of QEMU's descriptors; what Node may have to say about itself goes to where QEMU's errors go.
 *
 *  1 boot folder   2 control groups   3 size of the memory in MB   4 words of what fills it, how many   then these, then QEMU's
 */
const START_SCRIPT = `
set -eu
cd "$1"
for group in $2; do echo 0 > "$group/cgroup.procs"; done
mkdir memory
bounds="mode=700,nosuid,nodev,noexec,size=$3m"
mount -t tmpfs -o "$bounds,huge=within_size" memory memory 2> /dev/null || mount -t tmpfs -o "$bounds" memory memory
truncate -s "$3M" ${MEMORY_FILE}
if [ "$4" != 0 ]; then
  ("$5" "$6" "$7" "$8" ${MEMORY_FILE} <&${INHERITED.filler} >&${INHERITED.filler} ${CLOSED} &)
fi
shift "$((4 + $4))"
exec setpriv --no-new-privs -- "$@" ${INHERITED.filler}>&-
`;

/**
 * The interface is the host's from here on, under rules that go by its name. It goes away with QEMU's descriptor. Its hardware
 * address is that of the gateway, always: a machine that was written down knows it.
 */
const ADOPT_LINK_SCRIPT = `
set -eu
nsenter "--net=/proc/$1/ns/net" ip link set "$2" netns "$3"
ip -batch - <<END
link set $2 address $7
link set $2 up
route add $4/32 dev $2 src $5
neigh replace $4 lladdr $6 dev $2 nud permanent
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
  /** of a machine that is taken up; null for one that boots */
  taking: Taking | null;
}

export interface Taking {
  /** where the state of its devices goes in */
  devices: Writable;
  /** once its memory is as it was written down, every byte of it checked; rejects with what is wrong with it */
  filled: Promise<void>;
}

export interface QemuStart {
  /** of the boot */
  folder: string;
  groups: readonly string[];
  inherited: QemuDescriptors;
  memoryMb: number;
  command: string[];
  /** null for one that boots */
  memory: SealedMemory | null;
}

export function startQemu({ folder, groups, inherited, memoryMb, command, memory }: QemuStart): QemuProcess {
  const filler = memory === null ? [] : fillerCommand(memory);
  const words = [folder, groups.join(" "), String(memoryMb), String(filler.length), ...filler, ...command];
  const pipe = memory === null ? "ignore" : "pipe";
  const child = spawn(
    "unshare",
    ["--mount", "--net", "--ipc", "--uts", "sh", "-c", START_SCRIPT, BOOT_NAME, ...words],
    { stdio: ["ignore", "ignore", "pipe", ...inherited.sockets, pipe, ...inherited.disk, pipe], detached: true },
  );
  const { pid } = child;
  if (pid === undefined)
    throw new AegisError("driver_failed", "The virtual machine cannot start: there is no unshare.");
  child.unref();
  const taking = memory === null ? null : takingOf(child, memory);
  const { close, ...errors } = collectErrors(child);
  const closeAll = (): void => {
    close();
    taking?.devices.destroy();
  };
  return { pid, taking, ...errors, close: closeAll };
}

function takingOf(child: ChildProcess, memory: SealedMemory): Taking {
  const [devices, filler] = [INHERITED.devices, INHERITED.filler].map(
    (fd) => child.stdio[fd as 4] as unknown as Duplex,
  );
  if (devices === undefined || filler === undefined) throw new Error("a machine to be taken up has two more pipes");
  devices.on("error", () => undefined);
  filler.on("error", () => undefined);
  const done = filled(filler, memory);
  done.catch(() => undefined); // whoever waits for it may have given up before
  return { devices, filled: done };
}

function collectErrors(child: ChildProcess): Omit<QemuProcess, "pid" | "taking"> {
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
  const hardware = [address, gateway].map(hardwareAddress);
  const words = [String(pid), interfaceName, String(process.pid), address, gateway, ...hardware];
  await runCommand("sh", ["-c", ADOPT_LINK_SCRIPT, "aegis-link", ...words]);
}

/** As the guest's agent makes its own of its address (packages/guest/vm/agent.pl): so nobody has to ask for it. */
const hardwareAddress = (address: string): string =>
  ["02", "61", ...address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"))].join(":");

/** In the boot's folder. */
export const sockets = (folder: string) => ({
  harness: join(folder, "harness.sock"),
  agent: join(folder, "agent.sock"),
  monitor: join(folder, "monitor.sock"),
});

/** The guest's memory, as the host can reach it while QEMU is there. */
export const memoryOf = (pid: number, folder: string): string => join(`/proc/${pid}/root`, folder, MEMORY_FILE);

export const LONGEST_SOCKET = "harness.sock";
