import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import {
  blockOf,
  claims,
  commandOf,
  groupsOf,
  hasEnded,
  homeKeyOf,
  pids,
  runFolderOf,
  textOf,
} from "./home-on-host.ts";
import { loopDevicesOf } from "./loop-devices.ts";
import { noteInRun } from "./run-notes.ts";

const LOOKS = 100;
const LOOK_MS = 50;

/** What one home has on this host outside of its folder: to be looked up while its daemon runs, and again at the end. */
export class HostLeftovers {
  readonly #home: string;
  readonly #key: string;
  readonly #strike: () => void;
  /** number of the home's address block, kept from while it was there */
  #block: string | null = null;

  constructor(home: string, key = homeKeyOf(home)) {
    this.#home = home;
    this.#key = key;
    this.#strike = noteInRun({ kind: "home", home, key });
  }

  /** Call while the daemon runs. */
  remember(): void {
    this.#block = blockOf(this.#home) ?? this.#block;
  }

  /** With the home's folder. Empty once nothing is left; the kernel takes some things away a moment after the last process. */
  async settled(): Promise<string[]> {
    for (let looks = 0; !this.strikeIfGone() && looks < LOOKS; looks++) await delay(LOOK_MS);
    return this.#all();
  }

  /** Ends what the run of the tests knows of the home once nothing is left. @returns whether that is so */
  strikeIfGone(): boolean {
    const isGone = this.#all().length === 0;
    if (isGone) this.#strike();
    return isGone;
  }

  #all(): string[] {
    return [...this.now(), ...[this.#home].filter((path) => existsSync(path))];
  }

  /** Without the home's folder. */
  now(): string[] {
    return [
      ...this.#processes().map((pid) => `process ${pid}: ${commandOf(pid).slice(0, 120)}`),
      ...this.#mounts(),
      ...this.#network(),
      ...groupsOf(this.#key).filter((path) => existsSync(path)),
      ...loopDevicesOf(this.#home),
      ...[runFolderOf(this.#key)].filter((path) => existsSync(path)),
      ...[...claims()].filter(([, home]) => home === this.#home).map(([number]) => `claim of address block ${number}`),
    ];
  }

  /** Processes of the home's control groups, and those that name the home. */
  #processes(): number[] {
    return [...this.starters(), ...pids().filter((pid) => !hasEnded(pid) && this.#isInside(pid))];
  }

  /** Processes outside of the home's control groups that name it: what was started on it, and works for its daemon. */
  starters(): number[] {
    return pids().filter(
      (pid) => pid !== process.pid && !hasEnded(pid) && commandOf(pid).includes(this.#home) && !this.#isInside(pid),
    );
  }

  #isInside(pid: number): boolean {
    return textOf(`/proc/${pid}/cgroup`).includes(`/aegis/${this.#key}`);
  }

  #mounts(): string[] {
    return textOf("/proc/self/mountinfo")
      .split("\n")
      .filter((line) => line.includes(this.#home) || line.includes(this.#key));
  }

  /** A block is given to another home once it is free, so what carries its number counts only while nobody has it. */
  #network(): string[] {
    const block = this.#block;
    if (block === null || claims().has(block)) return [];
    const ours = new RegExp(`\\b(ag${block}-\\d|aegis_${block}\\b)`);
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
}
