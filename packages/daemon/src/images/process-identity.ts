import { readFile } from "node:fs/promises";

/** When a process started, in clock ticks since boot: a pid alone may have been given to another process since. */
async function startTime(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" ? null : (fields[STARTTIME] ?? null);
}

/** Index behind the command name, which may itself hold spaces and brackets, and the state. */
const STARTTIME = 18;

/** A name for this very process, such as `412-9913`. */
export const ownIdentity = async (): Promise<string> => `${process.pid}-${await startTime(process.pid)}`;

export async function isAlive(identity: string): Promise<boolean> {
  const [pid = "", started] = identity.split("-");
  return /^\d+$/.test(pid) && started !== undefined && (await startTime(Number(pid))) === started;
}
