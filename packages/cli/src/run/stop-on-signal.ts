import { AegisError } from "@aegis/protocol/errors";
import type { Cli } from "../cli.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

export interface StopOnSignal {
  /** aborts at the second signal: the person wants to leave now */
  left: AbortSignal;
  interrupted(): boolean;
  off(): void;
}

/** The first Ctrl-C stops the instance, the second leaves it as it is. */
export function stopOnSignal(cli: Cli, instance: { id: string; handle: string }): StopOnSignal {
  const leaving = new AbortController();
  let count = 0;
  const onSignal = () => {
    count += 1;
    if (count > 1) return leaving.abort();
    cli.note(`stopping ${instance.handle} (again to leave at once)`);
    cli.client.instances.stop(instance.id).catch((error: unknown) => {
      cli.note(error instanceof AegisError ? error.message : String(error));
      leaving.abort();
    });
  };
  for (const name of SIGNALS) cli.context.signals.on(name, onSignal);
  return {
    left: leaving.signal,
    interrupted: () => count > 0,
    off: () => SIGNALS.forEach((name) => cli.context.signals.off(name, onSignal)),
  };
}
