import type { CreatePreview, PreviewView } from "@aegis/protocol/preview";
import type { UnixHttp } from "./unix-http.ts";

/** Links to the sites of instances. An instance is named by id or handle. */
export class PreviewsApi {
  readonly #http: UnixHttp;

  constructor(http: UnixHttp) {
    this.#http = http;
  }

  create(instance: string, body: CreatePreview = {}): Promise<PreviewView> {
    return this.#http.json({ method: "POST", path: pathOf(instance), body });
  }

  list(instance: string): Promise<PreviewView[]> {
    return this.#http.json({ method: "GET", path: pathOf(instance) });
  }

  async delete(instance: string, previewId: string): Promise<void> {
    await this.#http.json({ method: "DELETE", path: `${pathOf(instance)}/${encodeURIComponent(previewId)}` });
  }

  /** Where the router is reached from outside; null: nowhere. */
  async publicUrl(): Promise<string | null> {
    return (await this.#http.json<{ url: string | null }>({ method: "GET", path: "/v1/public-url" })).url;
  }

  /** @param url as in `https://*.preview.example.org` or `https://bot.example.org`. @throws AegisError `invalid_request` */
  async setPublicUrl(url: string | null): Promise<void> {
    await this.#http.json({ method: "PUT", path: "/v1/public-url", body: { url } });
  }
}

const pathOf = (instance: string): string => `/v1/instances/${encodeURIComponent(instance)}/previews`;
