import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { openclawDatabase } from "./paths.ts";

/**
 * After three boots within five minutes whose process was killed, OpenClaw starts none of its channels for the next five, and
 * hears nobody. How soon a bot that ends is started again is for the restart policy of its instance to say, so such boots count as
 * stopped from outside, which they were. Those that failed by themselves still count.
 */
const KILLED_BOOTS =
  "UPDATE gateway_boot_lifecycle SET outcome = 'forced_stop', completed_at_ms = unixepoch() * 1000 WHERE completed_at_ms IS NULL";

/**
 * An answer that a process was about to make ready for sending. Nobody else may touch it, and OpenClaw never asks whether that
 * process is still there: its chat would be deaf for good. Without the row it makes the answer ready anew.
 */
const HALF_READY_ANSWERS =
  "DELETE FROM delivery_queue_entries WHERE queue_name = 'outbound-preparing-v1' AND status = 'pending'";

/**
 * Takes away what OpenClaw leaves in its database when it is killed, and by itself does not get over.
 * To be called while no OpenClaw runs on that state.
 * @returns what went wrong, which is no reason not to start; null: nothing
 */
export function tidyAfterKill(state: string): string | null {
  const path = openclawDatabase(state);
  if (!existsSync(path)) return null;
  try {
    const db = new DatabaseSync(path);
    try {
      db.exec(`${KILLED_BOOTS}; ${HALF_READY_ANSWERS}`);
    } finally {
      db.close();
    }
    return null;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `OpenClaw may not get over a kill: its database is not as the kit knows it (${reason})`;
  }
}
