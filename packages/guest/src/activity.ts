import { readdirSync, readFileSync } from "node:fs";
import { type ActivityReport, HEARTBEAT_MS, IDLE_CPU_MS, IDLE_NET_BYTES } from "@aegis/protocol/control";
import { countRemotePeers, defaultGateway, parseCpuTicks, sumNetBytes } from "./procfs.ts";

const MS_PER_TICK = 10;
const INIT_PID = 1;
const LATE_MS = 100;
const AFTER_PAUSE_MS = 1000;

/** Counters of the whole instance at one moment. */
export interface ActivityCounters {
  tcp: number;
  cpuMs: number;
  netBytes: number;
}

/** What happened between two moments, null when it is too little to count. */
export function activityBetween(before: ActivityCounters, after: ActivityCounters): ActivityReport | null {
  const cpu_ms = Math.max(0, after.cpuMs - before.cpuMs);
  const net_bytes = Math.max(0, after.netBytes - before.netBytes);
  if (after.tcp === 0 && cpu_ms < IDLE_CPU_MS && net_bytes < IDLE_NET_BYTES) return null;
  return { tcp: after.tcp, cpu_ms, net_bytes };
}

/** @param proc /proc, or a copy of one */
export function readCounters(proc: string, harnessPid: number): ActivityCounters {
  const host = defaultGateway(readOrEmpty(`${proc}/net/route`));
  const peers = (table: string): number => countRemotePeers(readOrEmpty(`${proc}/net/${table}`), host);
  return {
    tcp: peers("tcp") + peers("tcp6"),
    cpuMs: readCpuTicks(proc, harnessPid) * MS_PER_TICK,
    netBytes: sumNetBytes(readOrEmpty(`${proc}/net/dev`)),
  };
}

/**
 * The sum over all processes of their own time and that of their reaped children stays when a process ends, so short
 * processes count too. Init and the harness count with their reaped children only.
 */
function readCpuTicks(proc: string, harnessPid: number): number {
  let total = 0;
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue;
    const ticks = parseCpuTicks(readOrEmpty(`${proc}/${name}/stat`));
    if (ticks === null) continue;
    const isOurs = Number(name) === INIT_PID || Number(name) === harnessPid;
    total += ticks.children + (isOurs ? 0 : ticks.own);
  }
  return total;
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return ""; // the process has just ended, or the kernel has no IPv6
  }
}

/** Looks at the instance every {@link HEARTBEAT_MS} and tells of activity; silence is idle. */
export class Heartbeat {
  readonly #report: (activity: ActivityReport) => void;
  readonly #afterBeat: () => void;
  readonly #now: () => number;
  #counters: ActivityCounters = readCounters("/proc", process.pid);

  /** @param now a clock that goes on while the instance is paused */
  constructor(report: (activity: ActivityReport) => void, afterBeat: () => void, now = () => performance.now()) {
    this.#report = report;
    this.#afterBeat = afterBeat;
    this.#now = now;
  }

  start(): void {
    // spread, so that many instances do not beat as one
    this.#beatIn(HEARTBEAT_MS * (0.9 + Math.random() * 0.2));
  }

  #beatIn(ms: number, mayWait = true): void {
    const due = this.#now() + ms;
    setTimeout(() => this.#beat(due, mayWait), ms).unref();
  }

  /**
   * A beat that is late was overtaken by a pause: what the instance was woken for goes first. One that is late again comes
   * from a busy machine, on which an instance that works would never be seen to.
   */
  #beat(due: number, mayWait: boolean): void {
    if (mayWait && this.#now() - due > LATE_MS) return this.#beatIn(AFTER_PAUSE_MS, false);
    const before = this.#counters;
    this.#counters = readCounters("/proc", process.pid);
    const activity = activityBetween(before, this.#counters);
    if (activity !== null) this.#report(activity);
    this.#afterBeat();
    this.start();
  }
}
