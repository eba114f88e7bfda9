import type { InstanceView } from "@aegis/protocol/instance";
import { durationText } from "./duration.ts";
import { GuestApiError } from "./guest-api.ts";

type Ended = Pick<InstanceView, "failure" | "exit_code" | "memory_mb" | "lifetime_s" | "expires_at">;

/** The host has stopped it for good. */
export const lifetimeIsOver = ({ expires_at }: Pick<InstanceView, "expires_at">): boolean =>
  expires_at !== null && Date.parse(expires_at) <= Date.now();

/** Why a work instance is not running any more, in words for the person who asked for it. */
export function failureOf(instance: Ended, exitCode: number | null): string {
  const { failure } = instance;
  if (lifetimeIsOver(instance))
    return `its time was over${instance.lifetime_s === null ? "" : ` (${durationText(instance.lifetime_s)})`}, and it cannot be started again. Give it a longer lifetime to try again.`;
  if (failure !== null && /out of memory/i.test(failure))
    return `it ran out of memory (it had ${instance.memory_mb} MB). Ask for more memory to try again.`;
  if (failure !== null) return failure;
  const code = exitCode ?? instance.exit_code;
  if (code === 137) return `it was ended from outside, perhaps for want of memory (it had ${instance.memory_mb} MB).`;
  return code === null ? "it ended without giving a reason." : `its process ended with exit code ${code}.`;
}

/** A refused call of the Guest API, in words for the model and the person behind it. */
export function refusalText(error: unknown): string {
  if (error instanceof GuestApiError) {
    if (error.code === "capability_refused") return `The host does not allow it: ${error.message}`;
    if (error.code === "quota_exceeded") return `There is no room for it: ${error.message}`;
    return error.message;
  }
  const reason =
    error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error);
  return `The host cannot be reached: ${reason}`;
}
