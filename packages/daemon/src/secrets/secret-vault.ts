import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { SECRET_NAME_PATTERN } from "@aegis/protocol/name-patterns";
import { AegisError } from "@aegis/protocol/errors";
import type { EventLog } from "../core/event-log.ts";
import type { Secrets } from "../core/secrets.ts";

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const pattern = new RegExp(SECRET_NAME_PATTERN);

/** Secrets at rest: AES-256-GCM, the name is authenticated with the value so that rows cannot be swapped. */
export class SecretVault implements Secrets {
  readonly #db: DatabaseSync;
  readonly #key: Buffer;
  readonly #events: EventLog;

  constructor(db: DatabaseSync, key: Buffer, events: EventLog) {
    this.#db = db;
    this.#key = key;
    this.#events = events;
  }

  names(): string[] {
    return this.#db
      .prepare("SELECT name FROM secret ORDER BY name")
      .all()
      .map((row) => String(row["name"]));
  }

  put(name: string, value: string): void {
    if (!pattern.test(name) || name.length > 128) {
      throw new AegisError(
        "invalid_request",
        `${JSON.stringify(name)} is no name for a secret: use letters, digits, . _ - and begin with a letter.`,
      );
    }
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(Buffer.from(name));
    const sealed = Buffer.concat([cipher.update(value, "utf8"), cipher.final(), cipher.getAuthTag()]);
    this.#db
      .prepare(
        "INSERT INTO secret (name, nonce, sealed) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET nonce = excluded.nonce, sealed = excluded.sealed",
      )
      .run(name, nonce, sealed);
    this.#events.emit({ type: "secret.changed", name, action: "set" });
  }

  delete(name: string): void {
    const { changes } = this.#db.prepare("DELETE FROM secret WHERE name = ?").run(name);
    if (changes === 0) throw missing(name);
    this.#events.emit({ type: "secret.changed", name, action: "deleted" });
  }

  reveal(name: string): string {
    const row = this.#db.prepare("SELECT nonce, sealed FROM secret WHERE name = ?").get(name);
    const { nonce, sealed } = row ?? {};
    if (!(nonce instanceof Uint8Array) || !(sealed instanceof Uint8Array)) throw missing(name);
    const decipher = createDecipheriv(CIPHER, this.#key, nonce)
      .setAAD(Buffer.from(name))
      .setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]).toString("utf8");
    } catch (error) {
      throw new AegisError(
        "internal",
        `The secret ${name} cannot be decrypted: the key file has changed. Set it again.`,
        { cause: error },
      );
    }
  }
}

const missing = (name: string) =>
  new AegisError("secret_not_found", `There is no secret ${name}. Set it with: aegis secret set ${name}`);
