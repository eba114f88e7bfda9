import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { DeliveryContext } from "./openclaw-api.ts";
import { isSameChat } from "./telegram-chat.ts";
import type { WorkRecord } from "./work-record.ts";

interface StoreFile {
  version: 1;
  /** number of the newest `work-N`; numbers are never used twice */
  last_number: number;
  work: WorkRecord[];
}

/** Which chat owns which work instance. Written through on every change, whole or not at all. */
export class WorkStore {
  readonly #path: string;
  readonly #file: StoreFile;

  constructor(path: string) {
    this.#path = path;
    this.#file = load(path);
  }

  nextNumber(): number {
    this.#file.last_number += 1;
    this.#save();
    return this.#file.last_number;
  }

  add(record: WorkRecord): void {
    this.#file.work.push(record);
    this.#save();
  }

  update(id: string, change: Partial<Pick<WorkRecord, "phase" | "progress_message" | "started_at" | "seconds">>): void {
    const record = this.#file.work.find((work) => work.id === id);
    if (record === undefined) return;
    Object.assign(record, change);
    this.#save();
  }

  /** Oldest first. */
  ofSession(session: string): readonly WorkRecord[] {
    return this.#file.work.filter((work) => work.session === session);
  }

  /** Oldest first, whatever the session: a group's topic or a person's chat. */
  ofChat(chat: DeliveryContext): readonly WorkRecord[] {
    return this.#file.work.filter((work) => work.chat !== null && isSameChat(work.chat, chat));
  }

  running(): readonly WorkRecord[] {
    return this.#file.work.filter((work) => work.phase === "running");
  }

  forget(ids: ReadonlySet<string>): void {
    if (ids.size === 0) return;
    this.#file.work = this.#file.work.filter((work) => !ids.has(work.id));
    this.#save();
  }

  #save(): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    const next = `${this.#path}.next`;
    writeFileSync(next, JSON.stringify(this.#file, null, 1), { mode: 0o600 });
    renameSync(next, this.#path);
  }
}

function load(path: string): StoreFile {
  try {
    const file = JSON.parse(readFileSync(path, "utf8")) as StoreFile;
    if (file.version === 1 && Array.isArray(file.work)) return file;
    throw new Error(`${path} is of an unknown version`);
  } catch (error) {
    if (isMissing(error)) return { version: 1, last_number: 0, work: [] };
    // never overwrite what may still be of use: put it aside and start anew
    renameSync(path, `${path}.broken`);
    return { version: 1, last_number: 0, work: [] };
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";
