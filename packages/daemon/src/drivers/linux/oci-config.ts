import { posix } from "node:path";
import { HARNESS_DIR } from "@aegis/protocol/control";
import { seccompProfile } from "./seccomp-profile.ts";
import type { ProcessUser } from "./image-user.ts";

/** First host id of the range that every instance's user namespace maps to. */
export const FIRST_HOST_ID = 1_000_000;
export const ID_COUNT = 65_536;

const PROCESS_LIMIT = 1024;
const CPU_PERIOD_US = 100_000;

export interface OciConfigInput {
  hostname: string;
  rootfs: string;
  user: ProcessUser;
  memoryMb: number;
  /** false where the kernel has no memory cgroup, or none that counts swap */
  limitMemory: boolean;
  limitSwap: boolean;
  vcpus: number;
  readOnlyRoot: boolean;
  cgroupsPath: string;
  /** host folder with the harness, its loader and init */
  harnessDir: string;
  loader: string;
  /** host folder with resolv.conf, hosts and hostname */
  filesDir: string;
  hostHasIpv6: boolean;
  workspace: { source: string; options: string[] } | null;
}

interface Mount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

const tmpfs = (destination: string, mode: string, sizeMb: number, ...options: string[]): Mount => ({
  destination,
  type: "tmpfs",
  source: "tmpfs",
  options: ["nosuid", "nodev", `mode=${mode}`, `size=${sizeMb}m`, ...options],
});

const bind = (destination: string, source: string, ...options: string[]): Mount => ({
  destination,
  type: "bind",
  source,
  options: ["bind", "nosuid", "nodev", ...options],
});

const MASKED_PATHS = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

const READ_ONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

function mounts(input: OciConfigInput): Mount[] {
  const { uid, gid } = input.user;
  // What lies in memory counts as the instance's: all of it together must leave room for processes.
  const share = (part: number, atMostMb: number): number =>
    Math.max(1, Math.min(atMostMb, Math.floor(input.memoryMb / part)));
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    tmpfs("/dev", "755", 1, "strictatime"),
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    tmpfs("/dev/shm", "1777", share(4, 1024), "noexec"),
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    tmpfs("/run", "755", share(8, 64)),
    tmpfs("/run/aegis", "700", share(16, 16), `uid=${uid}`, `gid=${gid}`),
    ...(input.readOnlyRoot ? [tmpfs("/tmp", "1777", share(4, 1024))] : []),
    bind(HARNESS_DIR, input.harnessDir, "ro"),
    ...["resolv.conf", "hosts", "hostname"].map((name) =>
      bind(`/etc/${name}`, posix.join(input.filesDir, name), "ro", "noexec"),
    ),
    ...(input.workspace === null ? [] : [bind("/workspace", input.workspace.source, ...input.workspace.options)]),
  ];
}

function resources(input: OciConfigInput): object {
  const limit = input.memoryMb * 1024 * 1024;
  return {
    devices: [{ allow: false, access: "rwm" }],
    ...(input.limitMemory ? { memory: input.limitSwap ? { limit, swap: limit } : { limit } } : {}),
    cpu: { quota: Math.max(1000, Math.round(input.vcpus * CPU_PERIOD_US)), period: CPU_PERIOD_US },
    pids: { limit: PROCESS_LIMIT },
  };
}

const idMapping = [{ containerID: 0, hostID: FIRST_HOST_ID, size: ID_COUNT }];

/** Config of the OCI runtime for one boot. Nothing of the instance's command or environment is in it. */
export function ociConfig(input: OciConfigInput): object {
  const library = posix.join(HARNESS_DIR, "lib");
  return {
    ociVersion: "1.0.2",
    hostname: input.hostname,
    root: { path: input.rootfs, readonly: input.readOnlyRoot },
    process: {
      terminal: false,
      user: { uid: input.user.uid, gid: input.user.gid, additionalGids: input.user.groups, umask: 0o022 },
      args: [
        posix.join(HARNESS_DIR, "tini"),
        "--",
        posix.join(library, input.loader),
        "--library-path",
        library,
        posix.join(HARNESS_DIR, "aegis-guest"),
        "harness",
      ],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      cwd: "/",
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      noNewPrivileges: true,
    },
    mounts: mounts(input),
    linux: {
      namespaces: ["user", "pid", "mount", "ipc", "uts", "network", "cgroup"].map((type) => ({ type })),
      uidMappings: idMapping,
      gidMappings: idMapping,
      cgroupsPath: input.cgroupsPath,
      resources: resources(input),
      sysctl: {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": `0 ${ID_COUNT - 1}`,
        ...(input.hostHasIpv6 ? { "net.ipv6.conf.default.disable_ipv6": "1" } : {}),
      },
      seccomp: seccompProfile(),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READ_ONLY_PATHS,
    },
  };
}
