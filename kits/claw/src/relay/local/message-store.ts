import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Settings } from "../settings.ts";
import type { ChatFile, ChatMessage, MessageBody } from "./chat-message.ts";

/** Older messages go: a bot that runs wild must not fill the host's disk. */
const keptMessages = 20_000;

const now = (): number => Math.floor(Date.now() / 1000);

function fromRow(row: Record<string, unknown>): ChatMessage {
  const body: MessageBody = JSON.parse(String(row["body"]));
  return {
    ...body,
    id: Number(row["id"]),
    author: row["author"] === "user" ? "user" : "bot",
    date: Number(row["date"]),
  };
}

/** The chat's messages and the records of its files. */
export class MessageStore {
  readonly #settings: Settings;
  readonly #insert: StatementSync;
  readonly #get: StatementSync;
  readonly #update: StatementSync;
  readonly #delete: StatementSync;
  readonly #latest: StatementSync;
  readonly #prune: StatementSync;
  readonly #insertFile: StatementSync;
  readonly #fileBytes: StatementSync;
  readonly #getFile: StatementSync;

  constructor(db: DatabaseSync, settings: Settings) {
    this.#settings = settings;
    this.#insert = db.prepare("INSERT INTO message (id, author, date, body) VALUES (?, ?, ?, ?)");
    this.#get = db.prepare("SELECT * FROM message WHERE id = ?");
    this.#update = db.prepare("UPDATE message SET body = ? WHERE id = ?");
    this.#delete = db.prepare("DELETE FROM message WHERE id = ?");
    this.#latest = db.prepare("SELECT * FROM (SELECT * FROM message ORDER BY id DESC LIMIT ?) ORDER BY id");
    this.#prune = db.prepare("DELETE FROM message WHERE id < ?");
    this.#fileBytes = db.prepare("SELECT coalesce(sum(json_extract(body, '$.size')), 0) AS bytes FROM file");
    this.#insertFile = db.prepare("INSERT INTO file (id, body) VALUES (?, ?)");
    this.#getFile = db.prepare("SELECT body FROM file WHERE id = ?");
  }

  add(author: "user" | "bot", body: MessageBody): ChatMessage {
    const message = { ...body, id: this.#settings.nextId("last_message_id"), author, date: now() };
    this.#insert.run(message.id, author, message.date, JSON.stringify(body));
    this.#prune.run(message.id - keptMessages);
    return message;
  }

  get(id: number): ChatMessage | null {
    const row = this.#get.get(id);
    return row ? fromRow(row) : null;
  }

  /** Changes a message; `edited` leaves the mark that people see. */
  change(message: ChatMessage, changes: Partial<MessageBody>, edited: boolean): ChatMessage {
    const changed = { ...message, ...changes, ...(edited ? { editedAt: now() } : {}) };
    const { id, author, date, ...body } = changed;
    this.#update.run(JSON.stringify(body), id);
    return { ...body, id, author, date };
  }

  delete(id: number): boolean {
    return this.#delete.run(id).changes > 0;
  }

  latest(limit: number): ChatMessage[] {
    return this.#latest.all(limit).map(fromRow);
  }

  addFile(file: ChatFile): void {
    this.#insertFile.run(file.id, JSON.stringify(file));
  }

  /** What all files take together. */
  get fileBytes(): number {
    return Number(this.#fileBytes.get()?.["bytes"] ?? 0);
  }

  file(id: string): ChatFile | null {
    const row = this.#getFile.get(id);
    if (!row) return null;
    const file: ChatFile = JSON.parse(String(row["body"]));
    return file;
  }
}
