import { AegisError } from "@aegis/protocol/errors";
import type { ImageView, PrunedImages, PruneImages, PullLine } from "@aegis/protocol/image";
import type { WarmedImage, WarmImage } from "@aegis/protocol/warm-image";
import { ndjson } from "./ndjson.ts";
import type { UnixHttp } from "./unix-http.ts";

/** A pull as it goes on; the last line is the image. A failed pull throws instead. */
export type PullStep = Exclude<PullLine, { error: string }>;

export class ImagesApi {
  readonly #http: UnixHttp;

  constructor(http: UnixHttp) {
    this.#http = http;
  }

  list(): Promise<ImageView[]> {
    return this.#http.json({ method: "GET", path: "/v1/images" });
  }

  /** Pulls an image, or takes it from a local OCI layout folder and keeps it under the reference. */
  async *pull(image: { ref: string; layout?: string }, signal?: AbortSignal): AsyncGenerator<PullStep> {
    const stream = await this.#http.open({ method: "POST", path: "/v1/images", body: image, signal });
    for await (const line of ndjson<PullStep>(stream, signal)) {
      yield line;
      if ("done" in line) return;
    }
    throw new AegisError(
      "unavailable",
      `aegisd ended before ${image.ref} was there: try again, nothing is half unpacked`,
    );
  }

  /**
   * Makes new instances of the image and size start fast, where the driver has the means. Takes as long as a boot, or a pull
   * and a boot. @throws AegisError `driver_failed` where it has none
   */
  warm(wanted: WarmImage): Promise<WarmedImage> {
    return this.#http.json({ method: "POST", path: "/v1/images/warm", body: wanted });
  }

  /** Removes images that no instance uses, of any home that shares the store. */
  prune(choice: PruneImages = {}): Promise<PrunedImages> {
    return this.#http.json({ method: "POST", path: "/v1/images/prune", body: choice });
  }

  async delete(ref: string): Promise<void> {
    await this.#http.json({ method: "DELETE", path: `/v1/images/${encodeURI(ref)}` });
  }
}
