import { createHmac, randomBytes } from "node:crypto";

/** Whose use it is; its boot changes. */
export interface SecretUser {
  readonly boot: number;
}

/** Tells the first use of secrets in a boot, and the first of a new value, from the many that follow. */
export class SecretUses {
  readonly #salt = randomBytes(32);
  readonly #seen = new WeakMap<SecretUser, Map<string, string>>();

  /** @param values of the secrets that the binding fills in; not kept */
  isNew(user: SecretUser, binding: string, values: readonly string[]): boolean {
    const known = this.#seen.get(user) ?? new Map<string, string>();
    this.#seen.set(user, known);
    const mark = createHmac("sha256", this.#salt)
      .update(JSON.stringify([user.boot, values]))
      .digest("base64");
    if (known.get(binding) === mark) return false;
    known.set(binding, mark);
    return true;
  }
}
