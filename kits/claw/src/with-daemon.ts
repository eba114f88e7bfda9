import { socketPathOf } from "@aegis/sdk/aegis-home";
import { AegisClient } from "@aegis/sdk/client";
import type { DaemonPlace } from "@aegis/sdk/daemon-env";
import { runningDaemon, startDaemon, stopDaemon } from "@aegis/sdk/daemon-process";

/** The daemon of this home; one that is not there is started for as long as this takes. */
export async function withDaemon<T>(place: DaemonPlace, work: (client: AegisClient) => Promise<T>): Promise<T> {
  const running = await runningDaemon(place.home);
  if (running === null) await startDaemon(place);
  try {
    return await work(new AegisClient({ socketPath: socketPathOf(place.home) }));
  } finally {
    if (running === null) await stopDaemon(place.home, { stopInstances: true });
  }
}
