import { AegisError, messageOf } from "@aegis/protocol/errors";
import { closedOnAbort, makeMachine } from "./boot.ts";
import type { BootDeps, BootRequest, Booted } from "./boot.ts";
import type { Machine } from "./driver.ts";
import type { HarnessLink } from "./harness.ts";

export interface TakeUpDeps extends BootDeps {
  snapshotKey: () => Uint8Array;
}

export const isUnusable = (error: unknown): error is AegisError =>
  error instanceof AegisError && error.code === "snapshot_unusable";

/**
 * From what a hibernated machine left on disk to the workload that goes on, as a new boot. Environment and secrets are
 * those of then.
 * @param use takes over the control stream, and hands over the token of this boot
 * @param onReachable as of {@link Driver.restore}
 * @throws AegisError `snapshot_unusable` when only a boot from the beginning helps; what was written is used up in any case
 */
export async function takeUpInstance(
  deps: TakeUpDeps,
  request: BootRequest,
  use: (booted: Booted) => Promise<void>,
  onReachable: (machine: Machine) => void,
): Promise<void> {
  const { driver } = deps;
  const { machine } = await makeMachine(deps, request, async (spec, signal) => {
    if (spec.image.digest !== request.imageDigest) throw unusable("its image is gone");
    if (driver.restore === undefined) throw unusable(`the ${driver.name} driver cannot do that`);
    return driver.restore(spec, deps.snapshotKey(), signal, onReachable).catch(given(signal, ""));
  });
  let link: HarnessLink | null = null;
  try {
    link = await deps.harness.connect(machine, request.observer, request.signal);
    if (link.initial.state === "idle") throw unusable("its workload had not been started");
    await closedOnAbort(link, request.signal, use({ machine, link }));
  } catch (error) {
    link?.close();
    return given(request.signal, "its harness does not answer: ")(error);
  }
}

/** Whatever went wrong with it, what was written is used up; but who gave up does not want a boot instead. */
const given =
  (signal: AbortSignal, what: string) =>
  (error: unknown): never => {
    signal.throwIfAborted();
    if (isUnusable(error)) throw error;
    throw unusable(what + messageOf(error), error);
  };

const unusable = (why: string, cause?: unknown): AegisError => new AegisError("snapshot_unusable", why, { cause });
