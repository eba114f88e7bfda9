import { readFileSync } from "node:fs";

/**
 * When a process started, in clock ticks since boot: with its pid this names one process for good.
 * Null when there is none (a zombie counts as gone).
 */
export function processStart(pid: number): string | null {
  const fields = statFields(pid);
  return fields === null || fields[0] === "Z" ? null : (fields[STARTTIME] ?? null);
}

/** Index behind the command name, which may itself hold spaces and brackets. */
const STARTTIME = 19;

function statFields(pid: number): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) return null;
    throw error;
  }
}
