import type { DatabaseSync, StatementSync } from "node:sqlite";

type SettingKey =
  | "offset"
  /** of the bot that `offset` and the updates belong to */
  | "bot_id"
  | "last_update_id"
  | "last_message_id"
  | "chat_port"
  | "allowed_updates"
  | "webhook_url"
  /** what Telegram puts into its posts to the public URL */
  | "public_secret"
  /** port that the public URL leads to */
  | "public_port"
  /** the webhook that Telegram was told last, as JSON */
  | "public_webhook";

/** Small facts that outlive the process. Safe inside a transaction. */
export class Settings {
  readonly #read: StatementSync;
  readonly #write: StatementSync;

  constructor(db: DatabaseSync) {
    this.#read = db.prepare("SELECT value FROM setting WHERE key = ?");
    this.#write = db.prepare(
      "INSERT INTO setting (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    );
  }

  text(key: SettingKey): string | null {
    const row = this.#read.get(key);
    return typeof row?.["value"] === "string" ? row["value"] : null;
  }

  number(key: SettingKey): number | null {
    const text = this.text(key);
    return text === null ? null : Number(text);
  }

  set(key: SettingKey, value: string | number): void {
    this.#write.run(key, String(value));
  }

  /**
   * The next id of a growing series. It starts at the clock, so that a relay whose state was deleted does not reuse ids
   * that the bot remembers and would drop as duplicates.
   */
  nextId(key: "last_update_id" | "last_message_id"): number {
    const next = (this.number(key) ?? Math.floor(Date.now() / 1000)) + 1;
    this.set(key, next);
    return next;
  }
}
