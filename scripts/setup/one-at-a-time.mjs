import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "./project.mjs";

/** A file that every clone has: nothing is left behind, whoever may write here. */
const LOCKED = join(ROOT, "package.json");
const PATIENCE_MS = 500;

/** Runs `task` when no other process sets this clone up: two of npm at once leave half of the packages. */
export async function oneAtATime(task) {
  // held for as long as its input is open, which ends with this process, however that ends
  const lock = spawn("flock", [LOCKED, "sh", "-c", "echo held; exec cat > /dev/null"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  // a host without it does without
  const missing = new Promise((resolve) => lock.once("error", resolve));
  const held = Promise.race([once(lock.stdout, "data"), once(lock.stdout, "close"), missing]);
  if ((await Promise.race([held, delay(PATIENCE_MS, "waits", { ref: false })])) === "waits")
    process.stdout.write("this clone is being set up by another command: waiting for it\n");
  await held;
  try {
    return await task();
  } finally {
    lock.stdin?.end();
  }
}
