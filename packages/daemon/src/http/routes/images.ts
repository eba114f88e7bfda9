import Type from "typebox";
import { AegisError } from "@aegis/protocol/errors";
import type { PullLine } from "@aegis/protocol/instance";
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
const Referenced = Type.Object({ "*": Type.String({ minLength: 1, maxLength: 512 }) });

export function imageRoutes(app: App, images: Images & ImageImporter, instances: Instances): void {
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
    await refuseUsed(images, instances, params["*"]);
    await images.remove(params["*"]);
    return reply.status(204).send();
  });
}

async function refuseUsed(images: Images, instances: Instances, ref: string): Promise<void> {
  const image = await images.find(ref);
  const user = instances.list().find((instance) => image !== null && instance.view().image_digest === image.digest);
  if (user === undefined) return;
  throw new AegisError("image_in_use", `${ref} is the image of ${user.handle}. Delete that instance first.`);
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
