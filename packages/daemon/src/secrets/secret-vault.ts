import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { SECRET_NAME_PATTERN } from "@aegis/protocol/name-patterns";
import { AegisError } from "@aegis/protocol/errors";
import type { EventLog } from "../core/event-log.ts";
import type { Secrets } from "../core/secrets.ts";
import type { Keyring } from "./keyring.ts";
import type { MasterKey } from "./master-key.ts";

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const pattern = new RegExp(SECRET_NAME_PATTERN);

/** Secrets at rest: AES-256-GCM, the name is authenticated with the value so that rows cannot be swapped. */
export class SecretVault implements Secrets {
  readonly #db: DatabaseSync;
  readonly #keyring: Keyring;
  readonly #events: EventLog;

  constructor(db: DatabaseSync, keyring: Keyring, events: EventLog) {
    this.#db = db;
    this.#keyring = keyring;
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
    this.#seal(name, value, this.#keyring.key);
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
    const decipher = createDecipheriv(CIPHER, this.#keyring.key.derive("secrets"), nonce)
      .setAAD(Buffer.from(name))
      .setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]).toString("utf8");
    } catch (error) {
      throw new AegisError(
        "internal",
        `The secret ${name} cannot be decrypted: the key file has changed. Set it again, or delete it.`,
        { cause: error },
      );
    }
  }

  /**
   * Changes the master key and seals every secret with it.
   * @returns how many
   * @throws AegisError `internal` that names a secret which cannot be decrypted; then nothing has changed
   */
  rotateKey(): number {
    const values = this.names().map((name) => [name, this.reveal(name)] as const);
    this.#keyring.rotate((next) => {
      for (const [name, value] of values) this.#seal(name, value, next);
    });
    return values.length;
  }

  #seal(name: string, value: string, key: MasterKey): void {
    // a fresh one each time: a nonce must never come twice under one key
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key.derive("secrets"), nonce).setAAD(Buffer.from(name));
    const sealed = Buffer.concat([cipher.update(value, "utf8"), cipher.final(), cipher.getAuthTag()]);
    this.#db
      .prepare(
        "INSERT INTO secret (name, nonce, sealed) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET nonce = excluded.nonce, sealed = excluded.sealed",
      )
      .run(name, nonce, sealed);
  }
}

const missing = (name: string) =>
  new AegisError("secret_not_found", `There is no secret ${name}. Set it with: aegis secret set ${name}`);
