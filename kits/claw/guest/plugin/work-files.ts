import { setTimeout as delay } from "node:timers/promises";
import type { WorkspaceEntry } from "@aegis/protocol/workspace";
import { RESULT_FOLDER } from "../work-spec.ts";
import { type Chat, ChatBusy } from "./chat.ts";
import { type GuestApi, GuestApiError } from "./guest-api.ts";
import type { DeliveryContext } from "./openclaw-api.ts";
import type { WorkRecord } from "./work-record.ts";
import { WorkRefused } from "./work-refused.ts";

/** Telegram takes no larger file from a bot. */
const MAX_FILE_BYTES = 48 * 1024 * 1024;
/** More than these would be a flood. */
const MAX_RESULTS = 5;
const MAX_LISTED = 60;
const TRIES = 3;
const PAUSE_MS = 1000;
const MOST_PATIENCE_MS = 60_000;
const PICTURE = /\.(png|jpe?g|webp)$/i;
const HIDDEN = /(^|\/)(\.|node_modules(\/|$))/;

/** The instance whose files they are. */
type Place = Pick<WorkRecord, "id" | "handle">;

interface Parts {
  api: Pick<GuestApi, "files" | "readFile">;
  chat: Chat;
  onError: (what: string, error: unknown) => void;
  pauseMs?: number;
}

/** Brings files of work instances, and of sandboxes, into the chat. They are read by the host, whatever the instance's state. */
export class WorkFiles {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** What is in the workspace, for people and models. @param folder "" for all of it. @throws GuestApiError */
  async list(work: WorkRecord, folder: string): Promise<string> {
    const { entries, truncated } = await this.#parts.api.files(work.id, { path: folder, depth: 4, limit: 400 });
    const files = entries.filter(({ type, path }) => type === "file" && !HIDDEN.test(path));
    if (files.length === 0) return `${work.handle} has no files${folder === "" ? "" : ` in ${folder}`}.`;
    const lines = files.slice(0, MAX_LISTED).map(({ path, size }) => `${path} (${sizeText(size)})`);
    if (truncated || files.length > MAX_LISTED) lines.push("… and more: ask for a folder further down");
    return lines.join("\n");
  }

  /**
   * @param path in the workspace, with or without /workspace
   * @param caption by default it says whose file it is
   * @throws WorkRefused, GuestApiError, Error of the chat
   */
  async send(work: Place, to: DeliveryContext, path: string, caption?: string): Promise<string> {
    const wanted = inWorkspace(path);
    const folder = wanted.includes("/") ? wanted.slice(0, wanted.lastIndexOf("/")) : "";
    const { entries } = await this.#parts.api.files(work.id, { path: folder, depth: 1, limit: 10_000 });
    const entry = entries.find((one) => one.path === wanted && one.type === "file");
    if (entry === undefined) throw new WorkRefused(`${work.handle} has no file ${wanted}.`);
    if (entry.size > MAX_FILE_BYTES)
      throw new WorkRefused(`${wanted} has ${sizeText(entry.size)}; a chat takes at most ${sizeText(MAX_FILE_BYTES)}.`);
    if (entry.size === 0) throw new WorkRefused(`${wanted} is empty, and a chat takes no empty file.`);
    await this.#deliver(work.id, to, wanted, caption ?? `${work.handle}: ${wanted}`);
    return wanted;
  }

  /** What the work has left in its result folder. Never throws. @returns what could not be sent, for people; null: nothing */
  async sendResults(work: WorkRecord, to: DeliveryContext): Promise<string | null> {
    const results = await this.#results(work);
    const failed: string[] = [];
    for (const { path } of results.slice(0, MAX_RESULTS)) {
      try {
        await this.send(work, to, path);
      } catch (error) {
        this.#parts.onError(`sending ${path} of ${work.handle}`, error);
        failed.push(`${path} could not be sent: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const more = results.length - MAX_RESULTS;
    if (more > 0) failed.push(`${more} more ${more === 1 ? "file is" : "files are"} in /workspace/${RESULT_FOLDER}.`);
    return failed.length === 0 ? null : failed.join("\n");
  }

  async #results(work: WorkRecord): Promise<WorkspaceEntry[]> {
    try {
      const { entries } = await this.#parts.api.files(work.id, { path: RESULT_FOLDER, depth: 3, limit: 500 });
      return entries.filter(({ path, type, size }) => type === "file" && size > 0 && !HIDDEN.test(path));
    } catch (error) {
      const isMissing = error instanceof GuestApiError && error.code === "file_not_found";
      if (!isMissing) this.#parts.onError(`looking for results of ${work.handle}`, error);
      return [];
    }
  }

  async #deliver(id: string, to: DeliveryContext, path: string, caption: string): Promise<void> {
    const { api, chat, pauseMs = PAUSE_MS } = this.#parts;
    const content = await api.readFile(id, path);
    const name = path.slice(path.lastIndexOf("/") + 1);
    for (let tries = 1; ; tries++) {
      try {
        return await chat.sendFile(to, { name, content, picture: PICTURE.test(name) }, caption);
      } catch (error) {
        const wait = error instanceof ChatBusy ? error.retryAfterMs : pauseMs;
        if (tries === TRIES || wait > MOST_PATIENCE_MS) throw error;
        await delay(wait);
      }
    }
  }
}

/** `/workspace/out/a.png`, `out/a.png` and `./out/a.png` are the same file. */
const inWorkspace = (path: string): string =>
  path
    .replace(/^\/workspace(\/|$)/, "")
    .replace(/^(\.?\/)+/, "")
    .replace(/\/+$/, "");

function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
