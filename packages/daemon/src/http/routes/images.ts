import Type from "typebox";
import { PruneImages } from "@aegis/protocol/image";
import type { PrunedImages, PullLine } from "@aegis/protocol/image";
import { WarmImage, type WarmedImage } from "@aegis/protocol/warm-image";
import { isUnwanted, refuseUsed } from "../../core/image-use.ts";
import type { Image, ImageImporter, Images, PullProgress } from "../../core/images.ts";
import type { Instances } from "../../core/instances.ts";
import type { App } from "../app.ts";
import { sendNdjson } from "../ndjson.ts";

const Pull = Type.Object(
  {
    ref: Type.String({ minLength: 1, maxLength: 512 }),
    /** a local folder with an OCI image layout that is taken in under `ref` */
    layout: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
  },
  { additionalProperties: false },
);
/** a POST without a body has the body null */
const MaybePrune = Type.Union([PruneImages, Type.Null()]);
const Referenced = Type.Object({ "*": Type.String({ minLength: 1, maxLength: 512 }) });

/** a pull, a boot and the writing of it, under emulation on a machine that has other things to do */
const WARM_MS = 1_800_000;

export function imageRoutes(
  app: App,
  images: Images & ImageImporter,
  instances: Instances,
  warm: (wanted: WarmImage, signal: AbortSignal) => Promise<WarmedImage>,
): void {
  app.get("/v1/images", () => images.list());

  app.post("/v1/images", { schema: { body: Pull } }, ({ body: { ref, layout } }, reply) =>
    sendNdjson(reply, (signal) =>
      withProgress((onProgress) =>
        layout === undefined
          ? images.ensure(ref, onProgress, signal)
          : images.importLayout(layout, ref, onProgress, signal),
      ),
    ),
  );

  app.delete("/v1/images/*", { schema: { params: Referenced } }, async ({ params }, reply) => {
    await images.remove(params["*"], (image) => refuseUsed(image, instances.list()));
    return reply.status(204).send();
  });

  app.post("/v1/images/warm", { schema: { body: WarmImage } }, ({ body }) => warm(body, AbortSignal.timeout(WARM_MS)));

  app.post("/v1/images/prune", { schema: { body: MaybePrune } }, async ({ body }): Promise<PrunedImages> => {
    const choice = { all: body?.all ?? false, unusedOlderThanS: body?.unused_older_than_s ?? 0 };
    const { deleted, freedBytes } = await images.prune(isUnwanted(choice, Date.now()));
    return { deleted, freed_bytes: freedBytes };
  });
}

/** Turns the progress calls of a pull into lines, with the image or the error as the last one. */
async function* withProgress(
  pull: (onProgress: (progress: PullProgress) => void) => Promise<Image>,
): AsyncGenerator<PullLine> {
  let waiting: PullProgress[] = [];
  let news = Promise.withResolvers<void>();
  let settled = false;
  const pulling = pull((progress) => {
    waiting.push(progress);
    news.resolve();
  }).finally(() => {
    settled = true;
    news.resolve();
  });
  pulling.catch(() => undefined);
  while (!settled || waiting.length > 0) {
    await news.promise;
    news = Promise.withResolvers<void>();
    const batch = waiting;
    waiting = [];
    for (const { phase, message, doneBytes, totalBytes } of batch) {
      yield { phase, message, done_bytes: doneBytes, total_bytes: totalBytes };
    }
  }
  const { refs, digest, size_bytes, created_at } = await pulling;
  yield { done: true, image: { refs, digest, size_bytes, created_at } };
}
