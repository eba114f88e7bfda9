import type { KeyRotated } from "@aegis/protocol/secret";
import type { UnixHttp } from "./unix-http.ts";

/** Secrets go in and never come out: only their names are ever listed. */
export class SecretsApi {
  readonly #http: UnixHttp;

  constructor(http: UnixHttp) {
    this.#http = http;
  }

  async put(name: string, value: string): Promise<void> {
    await this.#http.json({ method: "PUT", path: pathOf(name), body: { value } });
  }

  /** Names, in order. */
  async list(): Promise<string[]> {
    const answer = await this.#http.json<(string | { name: string })[] | { secrets: (string | { name: string })[] }>({
      method: "GET",
      path: "/v1/secrets",
    });
    return (Array.isArray(answer) ? answer : answer.secrets).map((one) => (typeof one === "string" ? one : one.name));
  }

  /** Seals every secret with a new key, and gives running instances new tokens. */
  rotateKey(): Promise<KeyRotated> {
    return this.#http.json({ method: "POST", path: "/v1/secrets/rotate-key" });
  }

  async delete(name: string): Promise<void> {
    await this.#http.json({ method: "DELETE", path: pathOf(name) });
  }
}

const pathOf = (name: string) => `/v1/secrets/${encodeURIComponent(name)}`;
