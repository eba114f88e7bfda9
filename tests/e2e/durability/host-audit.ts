import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { InstanceView } from "../../../packages/protocol/src/instance.ts";
import type { DaemonStatus } from "../../../packages/protocol/src/status.ts";
import { blockOf, commandOf, groupsOf, hasEnded, homeKeyOf, pids, runFolderOf, textOf } from "../home-on-host.ts";
import { isMicrovm } from "../driver-host.ts";

export interface Audited {
  status: DaemonStatus;
  instances: InstanceView[];
  /** digests of the images in the store */
  digests: string[];
}

/** Compares what one home has on this host with what its daemon says: nothing without an owner, no owner without its thing. */
export class HostAudit {
  readonly #home: string;
  readonly #key: string;
  readonly #runFolder: string;

  constructor(home: string) {
    this.#home = home;
    this.#key = homeKeyOf(home);
    this.#runFolder = runFolderOf(this.#key);
  }

  /** @returns what does not agree, empty when all does */
  look({ status, instances, digests }: Audited): string[] {
    const up = instances.filter(({ state }) => state === "running" || state === "paused").map(({ id }) => id);
    const known = instances.map(({ id }) => id);
    const processes = this.#processes();
    return [
      ...same("control groups", this.#cgroups(), up),
      ...same("boot folders", folders(this.#runFolder), up),
      ...same("machines with processes", [...new Set(processes.values())], up),
      ...same("network namespaces", networkNamespaces(processes), networksOf(up)),
      ...this.#interfaces(up.length),
      ...this.#strays(processes, status.pid),
      ...this.#mounts(),
      ...same("listening ports", listeningPorts(status.pid), portsOf(status, instances)),
      ...this.#frozen(instances),
      ...extra("disks and logs", folders(join(this.#home, "data/instances")), known),
      ...missing("disks", folders(join(this.#home, "data/instances")), up),
      ...same(
        "unpacked images",
        folders(join(this.#home, "images/unpacked")),
        digests.map((d) => d.replace(":", "-")),
      ),
      ...same("unfinished images", folders(join(this.#home, "images/tmp")), []),
    ];
  }

  #cgroups(): string[] {
    return [...new Set(groupsOf(this.#key).flatMap((path) => folders(path)))];
  }

  /** Host pid to instance. */
  #processes(): Map<number, string> {
    const found = new Map<number, string>();
    const group = new RegExp(`/aegis/${this.#key}/([^/\\n]+)`);
    for (const pid of pids()) {
      const id = group.exec(textOf(`/proc/${pid}/cgroup`))?.[1];
      if (id !== undefined && !hasEnded(pid)) found.set(pid, id);
    }
    return found;
  }

  /** Boots, tools and other daemons that still work for this home. */
  #strays(machines: Map<number, string>, daemon: number): string[] {
    return pids()
      .filter((pid) => pid !== daemon && pid !== process.pid && !machines.has(pid))
      .map((pid) => ({ pid, command: commandOf(pid) }))
      .filter(({ command }) => command.includes(this.#runFolder) || command.includes(this.#home))
      .map(({ pid, command }) => `process ${pid} without an owner: ${command.slice(0, 200)}`);
  }

  #mounts(): string[] {
    return textOf("/proc/self/mountinfo")
      .split("\n")
      .filter((line) => line.includes(`${this.#home}/`) || line.includes(this.#key))
      .map((line) => `mount without an owner: ${line}`);
  }

  #interfaces(machines: number): string[] {
    const block = blockOf(this.#home);
    if (block === null) return ["the home has no address block"];
    const links = readdirSync("/sys/class/net").filter((name) => name.startsWith(`ag${block}-`));
    const routes = run("ip", "route").filter((line) => line.includes(`dev ag${block}-`));
    const tables = run("nft", "list", "tables").filter((line) => line.endsWith(` aegis_${block}`));
    return [
      ...(links.length === machines ? [] : [`${links.length} interfaces for ${machines} machines: ${links.join(" ")}`]),
      ...(routes.length === machines ? [] : [`${routes.length} routes for ${machines} machines`]),
      ...(tables.length === 1 ? [] : [`${tables.length} tables of rules`]),
    ];
  }

  /** Virtual machines stand still by themselves, and only their monitor tells. */
  #frozen(instances: InstanceView[]): string[] {
    if (isMicrovm) return [];
    return instances.flatMap(({ id, state }) => {
      if (state !== "running" && state !== "paused") return [];
      const events = groupsOf(this.#key)
        .map((path) => join(path, id, "cgroup.events"))
        .find((path) => existsSync(path));
      if (events === undefined) return [];
      const frozen = textOf(events).includes("frozen 1");
      return frozen === (state === "paused")
        ? []
        : [`${id} is ${state}, but its machine is ${frozen ? "" : "not "}frozen`];
    });
  }
}

const networksOf = (up: string[]): string[] => up.toSorted();

/** Instances that have a network namespace of their own. */
function networkNamespaces(processes: Map<number, string>): string[] {
  const owners = new Map<string, Set<string>>();
  for (const [pid, id] of processes) {
    const namespace = link(`/proc/${pid}/ns/net`);
    if (namespace !== "") owners.set(namespace, (owners.get(namespace) ?? new Set()).add(id));
  }
  return [...owners.values()].flatMap((ids) => [...ids]);
}

function portsOf({ router_port: router }: DaemonStatus, instances: InstanceView[]): string[] {
  const endpoints = instances.flatMap((instance) => instance.endpoints.map(({ public_port: port }) => port));
  return [...endpoints, ...(router === null ? [] : [router]), 53].map(String);
}

/** TCP ports on which a process listens. */
function listeningPorts(pid: number): string[] {
  const sockets = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => link(`/proc/${pid}/fd/${fd}`)));
  return textOf(`/proc/${pid}/net/tcp`)
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A" && sockets.has(`socket:[${fields[9]}]`))
    .map((fields) => String(Number.parseInt(fields[1]?.split(":")[1] ?? "", 16)));
}

const same = (what: string, seen: string[], wanted: string[]): string[] => [
  ...extra(what, seen, wanted),
  ...missing(what, seen, wanted),
];
const extra = (what: string, seen: string[], wanted: string[]): string[] =>
  seen.filter((name) => !wanted.includes(name)).map((name) => `${what}: ${name} without an owner`);
const missing = (what: string, seen: string[], wanted: string[]): string[] =>
  wanted.filter((name) => !seen.includes(name)).map((name) => `${what}: ${name} has none`);

const run = (command: string, ...args: string[]): string[] =>
  execFileSync(command, args, { encoding: "utf8" }).split("\n");

function folders(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
