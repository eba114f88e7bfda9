import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { loopDevicesOf } from "./loop-devices.ts";

const CLAIMS = "/run/aegis/net";
const LOOKS = 100;
const LOOK_MS = 50;

/** What one home has on this host outside of its folder: to be looked up while its daemon runs, and again at the end. */
export class HostLeftovers {
  readonly #home: string;
  readonly #key: string;
  /** number of the home's address block, kept from while it was there */
  #block: string | null = null;

  constructor(home: string) {
    this.#home = home;
    this.#key = createHash("sha256").update(home).digest("hex").slice(0, 12);
  }

  /** Call while the daemon runs. */
  remember(): void {
    this.#block = claims().get(this.#home) ?? this.#block;
  }

  /** Empty once nothing is left; the kernel takes some things away a moment after the last process. */
  async settled(): Promise<string[]> {
    let left = this.#look();
    for (let looks = 0; left.length > 0 && looks < LOOKS; looks++) {
      await delay(LOOK_MS);
      left = this.#look();
    }
    return left;
  }

  #look(): string[] {
    return [
      ...this.#processes(),
      ...this.#mounts(),
      ...this.#network(),
      ...this.#cgroups(),
      ...loopDevicesOf(this.#home),
      ...[`/run/aegis/${this.#key}`, this.#home].filter((path) => existsSync(path)),
      ...this.#claims(),
    ];
  }

  /** Processes of the home's control groups, and those that name the home. */
  #processes(): string[] {
    const own = String(process.pid);
    return readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid) && pid !== own)
      .filter(
        (pid) =>
          procText(pid, "cgroup").includes(`/aegis/${this.#key}`) || procText(pid, "cmdline").includes(this.#home),
      )
      .map((pid) => `process ${pid}: ${procText(pid, "cmdline").replaceAll("\0", " ").slice(0, 120)}`);
  }

  #mounts(): string[] {
    return procText("self", "mountinfo")
      .split("\n")
      .filter((line) => line.includes(this.#home) || line.includes(this.#key));
  }

  /** A block is given to another home once it is free, so what carries its number counts only while nobody has it. */
  #network(): string[] {
    if (this.#block === null || [...claims().values()].includes(this.#block)) return [];
    const ours = new RegExp(`\\b(ag${this.#block}-\\d|aegis_${this.#block}\\b)`);
    const look = (command: string, ...args: string[]): string[] =>
      execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
        .split("\n")
        .filter((line) => ours.test(line));
    return [
      ...look("ip", "-o", "link"),
      ...look("ip", "-o", "address"),
      ...look("ip", "route"),
      ...look("nft", "list", "tables"),
    ];
  }

  #cgroups(): string[] {
    return procText("self", "mountinfo")
      .split("\n")
      .filter((line) => / - cgroup2? /.test(line))
      .map((line) => join(line.split(" ")[4] ?? "", "aegis", this.#key))
      .filter((path) => existsSync(path));
  }

  #claims(): string[] {
    const block = claims().get(this.#home);
    return block === undefined ? [] : [`claim of address block ${block}`];
  }
}

/** The address block of each home. */
function claims(): Map<string, string> {
  const numbers = existsSync(CLAIMS) ? readdirSync(CLAIMS).filter((name) => /^\d+$/.test(name)) : [];
  return new Map(numbers.map((number) => [readClaim(number), number]));
}

/** Empty for a claim that has just been given back. */
function readClaim(number: string): string {
  try {
    return readFileSync(join(CLAIMS, number), "utf8");
  } catch {
    return "";
  }
}

/** Empty for a process that has just ended. */
function procText(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}
