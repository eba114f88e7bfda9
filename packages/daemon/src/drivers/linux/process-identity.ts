import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** A process, told apart from a later one that got the same pid. */
export interface ProcessIdentity {
  pid: number;
  /** clock ticks between the host's boot and the start of the process */
  startTime: string;
}

const STATE = 0;
const START_TIME = 19;

/** @returns null when there is no such process, or only its unreaped remains */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | null> {
  const stat = readNow(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field is the command in parentheses, which may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTime = fields[START_TIME];
  if (startTime === undefined || fields[STATE] === "Z" || fields[STATE] === "X") return null;
  return { pid, startTime };
}

/** In this thread: it takes microseconds, and every machine is looked at again and again. */
function readNow(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(identity.pid))?.startTime === identity.startTime;
}

/** Changes with every boot of the host: a pid from an earlier one means nothing. */
export const hostBootId = async (): Promise<string> =>
  (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
