import type { Driver } from "./driver.ts";
import type { Logs } from "./logs.ts";
import type { Store } from "./store.ts";

export interface RemainsDeps {
  store: Pick<Store, "forgetRemains">;
  driver: Pick<Driver, "discard">;
  logs: Pick<Logs, "delete">;
  warn: (message: string) => void;
}

/** Removes what a deleted instance has on disk. What cannot be removed now is left to the next start of the daemon. */
export async function clearRemains({ store, driver, logs, warn }: RemainsDeps, instanceId: string): Promise<void> {
  try {
    await driver.discard(instanceId);
    await logs.delete(instanceId);
    store.forgetRemains(instanceId);
  } catch (error) {
    warn(`remains of the deleted ${instanceId} will be removed at the next start: ${String(error)}`);
  }
}
