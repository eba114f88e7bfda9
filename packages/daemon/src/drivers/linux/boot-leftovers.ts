import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { identifyProcess, isAlive, type ProcessIdentity } from "./process-identity.ts";

/** What a boot script calls itself: so a later daemon finds one that its own has left. */
export const BOOT_NAME = "aegis-boot";

const LOOK_MS = 5;

/**
 * Ends boots that the last daemon had begun: nobody waits for them any more, and one that went on would come up beside
 * the next boot of its instance.
 */
export async function endBoots(runFolder: string): Promise<void> {
  const found: ProcessIdentity[] = [];
  for (const pid of (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number)) {
    const words = commandLine(pid);
    const at = words.indexOf(BOOT_NAME);
    if (at === -1 || words[at + 1]?.startsWith(`${runFolder}/`) !== true) continue;
    const identity = await identifyProcess(pid);
    // Each boot leads a group of its own, so what it has started ends with it.
    if (identity !== null && endGroup(pid)) found.push(identity);
  }
  for (const identity of found) while (await isAlive(identity)) await setTimeout(LOOK_MS);
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return []; // it has just ended
  }
}

function endGroup(pid: number): boolean {
  try {
    process.kill(-pid, "SIGKILL");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
