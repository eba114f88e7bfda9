import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { aegisHome } from "@aegis/sdk/aegis-home";
import type { Env } from "./setting-values.ts";
import { UpLock } from "./up-lock.ts";

const POLL_MS = 50;

/** Ends the kit of this home as Ctrl-C in its terminal does, and waits until it is gone. */
export async function down(
  _args: string[],
  { env, print }: { env: Env; print: (text: string) => void },
): Promise<number> {
  const holder = UpLock.holder(join(aegisHome(env), "claw"));
  if (holder === null) {
    print("the kit does not run");
    return 0;
  }
  process.kill(holder.pid, "SIGTERM");
  while (existsSync(`/proc/${holder.pid}`)) await delay(POLL_MS);
  print("the kit has ended");
  return 0;
}
