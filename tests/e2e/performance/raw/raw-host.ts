import { RawContainers } from "./raw-containers.ts";
import type { RawReply, RawRequest } from "./raw-calls.ts";

/** The program of the process beside the bench: does what it is told over IPC, and cleans up when nobody is left to tell. */
const containers = new RawContainers();

process.on("message", (request: RawRequest) => {
  answer(request).then(
    (reply) => process.send?.(reply),
    (error: unknown) => process.send?.({ id: request.id, error: String(error) } satisfies RawReply),
  );
});

process.on("disconnect", () => {
  void containers.close().finally(() => process.exit(0));
});

async function answer({ id, method, params }: RawRequest): Promise<RawReply> {
  const task: (params: never) => Promise<unknown> = containers[method];
  return { id, result: (await task.call(containers, params as never)) ?? null };
}
