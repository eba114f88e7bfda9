import { AegisError } from "@aegis/protocol/errors";
import type { InstanceRecord, Observation } from "./instance-record.ts";

/** @param verb what it cannot do in this state */
export function wrongState(
  { handle, enabled }: InstanceRecord,
  { state, failure }: Observation,
  verb: string,
): AegisError {
  const why = failure === null ? (enabled ? "" : " and disabled") : ` (${failure})`;
  return new AegisError(
    "wrong_state",
    `${handle} is ${state}${why}, so it cannot ${verb}. Start it with: aegis instance start ${handle}`,
  );
}

/** @param why as the workload says it */
export const pauseRefused = ({ handle }: InstanceRecord, why: string): AegisError =>
  new AegisError(
    "wrong_state",
    `${handle} asks not to be paused now: ${why}. Try again later, or do it all the same with: aegis instance pause ${handle} --force`,
  );
