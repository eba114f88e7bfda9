import { hkdfSync } from "node:crypto";

export const KEY_BYTES = 32;

/** The key that every other key of this home is derived from. */
export class MasterKey {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** A key for one purpose (HKDF-SHA256): knowing one tells nothing of another. */
  derive(purpose: "secrets" | "tokens" | "previews" | "snapshots"): Buffer {
    return this.#derive(`aegis/${purpose}/v1`, KEY_BYTES);
  }

  /** Tells this key from others, and nothing of it. */
  get fingerprint(): string {
    return this.#derive("aegis/fingerprint/v1", 16).toString("hex");
  }

  #derive(info: string, bytes: number): Buffer {
    return Buffer.from(hkdfSync("sha256", this.#key, "", info, bytes));
  }
}
