import { AegisError } from "@aegis/protocol/errors";

/** For a boot that nobody waits for: what it failed of is in the instance's state, events and logs. Anything else is a defect. */
export const unwatchedBoot =
  (id: string, warn: (message: string) => void) =>
  (error: unknown): void => {
    if (error instanceof AegisError) return;
    warn(`boot of ${id}: ${error instanceof Error ? error.stack : String(error)}`);
  };
