import type { CreatePreview, PreviewView } from "@aegis/protocol/preview";
import type { GuestApi } from "./guest-api.ts";
import type { WorkRecord } from "./work-record.ts";

/** How a link differs from the usual one, which anybody may open for as long as the instance exists. */
export type LinkWish = Pick<CreatePreview, "port" | "password" | "one_time" | "ttl_s">;

/** Links to what work instances serve. */
export class WorkLinks {
  readonly #api: Pick<GuestApi, "createPreview" | "previews">;

  constructor(api: Pick<GuestApi, "createPreview" | "previews">) {
    this.#api = api;
  }

  /**
   * The usual link to a port: the same one each time, under the public address that counts now. Without such an address
   * it is the port on this machine, which every browser there can open.
   * @throws GuestApiError
   */
  async usual(work: WorkRecord, port: number | null, local: string | null): Promise<string> {
    const found = (await this.#api.previews(work.id)).find(
      (view) => isUsual(view) && (port === null || view.guest_port === port),
    );
    const { url } = found ?? (await this.#api.createPreview(work.id, port === null ? {} : { port }));
    return isLocal(url) ? (local ?? url) : url;
  }

  /** One of its own. @throws GuestApiError */
  special(work: WorkRecord, wish: LinkWish): Promise<PreviewView> {
    return this.#api.createPreview(work.id, wish);
  }
}

const isUsual = (view: PreviewView): boolean => !view.password && !view.one_time && view.expires_at === null;

/** Leads to the machine itself, whoever opens it. */
function isLocal(url: string): boolean {
  const name = new URL(url).hostname;
  return name === "localhost" || name.endsWith(".localhost") || name.startsWith("127.");
}
