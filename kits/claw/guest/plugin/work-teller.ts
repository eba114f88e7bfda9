import { setTimeout as delay } from "node:timers/promises";
import type { LlmConfig } from "../claw-config.ts";
import { type EndFacts, outcomeText, progressText } from "./chat-text.ts";
import { type Chat, ChatBusy } from "./chat.ts";
import type { GuestApi } from "./guest-api.ts";
import type { DeliveryContext } from "./openclaw-api.ts";
import { ProgressBoard } from "./progress-board.ts";
import { chatIdOf } from "./telegram-chat.ts";
import type { WorkFiles } from "./work-files.ts";
import type { WorkLinks } from "./work-links.ts";
import type { WorkProgress } from "./work-progress.ts";
import type { WorkRecord } from "./work-record.ts";
import type { WorkStore } from "./work-store.ts";
import { modelUsage, usageText } from "./work-usage.ts";
import type { Audience, Outcome } from "./work-watcher.ts";

const RETRY_AFTER_MS = [1000, 3000, 10_000, 30_000];
/** Telegram takes 20 messages a minute in a group, and one a second elsewhere. */
const GROUP_FACTOR = 3;

/** Lets the agent of the chat know. `wake`: at once, by a turn of its own; else with its next turn. */
export type InformAgent = (work: WorkRecord, text: string, wake: boolean) => void;

export interface TellerParts {
  api: Pick<GuestApi, "get">;
  chat: Chat;
  store: WorkStore;
  links: WorkLinks;
  files: WorkFiles;
  price: LlmConfig["price"];
  informAgent: InformAgent;
  /** between two edits of a message, where only one is edited */
  minEditMs: number;
  onError: (what: string, error: unknown) => void;
  retryAfterMs?: readonly number[];
}

/**
 * Tells the chat and the agent about work. The chat hears it from here and not through the model: the link comes at
 * once, exactly once, whatever the model does.
 */
export class WorkTeller implements Audience {
  readonly #parts: TellerParts;
  readonly #boards = new Map<string, { chat: number | null; board: ProgressBoard }>();

  constructor(parts: TellerParts) {
    this.#parts = parts;
  }

  progress(work: WorkRecord, progress: WorkProgress): void {
    const to = this.#reachable(work);
    if (to !== null && progress.end === null) this.#board(work, to).show(progressText(work, progress, "running"));
  }

  async ended(work: WorkRecord, progress: WorkProgress, outcome: Outcome): Promise<void> {
    const to = this.#reachable(work);
    // work that ended before its first step needs no second message
    if (to !== null && (this.#boards.has(work.id) || work.progress_message !== null))
      await this.#board(work, to).finish(progressText(work, progress, outcome.kind));
    this.#boards.delete(work.id);
    const text = outcomeText(work, outcome, await this.#facts(work, outcome));
    const told = to !== null && (await this.#tell(work, to, text, messageName(work, "end")));
    if (told && outcome.kind === "done") await this.#sendResults(work, to);
    const note = told ? "The person has been told this in the chat already, link included: do not repeat it." : "";
    this.#parts.informAgent(work, `${text}\n${note}`.trim(), !told);
  }

  async #facts(work: WorkRecord, outcome: Outcome): Promise<EndFacts> {
    const { api, links, price, onError } = this.#parts;
    const facts: EndFacts = { link: null, usage: null };
    try {
      const usage = modelUsage(await api.get(work.id));
      if (usage !== null && usage.requests > 0) facts.usage = usageText(usage, price);
      if (outcome.kind === "done" && outcome.site && work.url !== null)
        facts.link = await links.usual(work, null, work.url);
    } catch (error) {
      onError(`asking for the link of ${work.handle}`, error);
      if (outcome.kind === "done" && outcome.site) facts.link = work.url;
    }
    return facts;
  }

  async #sendResults(work: WorkRecord, to: DeliveryContext): Promise<void> {
    const left = await this.#parts.files.sendResults(work, to);
    if (left !== null) await this.#tell(work, to, `${work.handle}: ${left}`);
  }

  async #tell(work: WorkRecord, to: DeliveryContext, text: string, name?: string): Promise<boolean> {
    const waits = this.#parts.retryAfterMs ?? RETRY_AFTER_MS;
    for (const wait of [...waits, null]) {
      try {
        await this.#parts.chat.send(to, text, [], name);
        return true;
      } catch (error) {
        this.#parts.onError(`telling the chat of ${work.handle}`, error);
        if (wait !== null) await delay(error instanceof ChatBusy ? error.retryAfterMs : wait);
      }
    }
    return false;
  }

  #reachable(work: WorkRecord): DeliveryContext | null {
    return work.chat !== null && this.#parts.chat.reaches(work.chat) ? work.chat : null;
  }

  #board(work: WorkRecord, to: DeliveryContext): ProgressBoard {
    const known = this.#boards.get(work.id);
    if (known !== undefined) return known.board;
    const { chat, store, onError } = this.#parts;
    let message = work.progress_message;
    const publish = async (text: string) => {
      if (message !== null) return await chat.edit(to, message, text);
      message = await chat.send(to, text, [], messageName(work, "progress"));
      store.update(work.id, { progress_message: message });
    };
    const id = chatIdOf(to);
    const onFailure = (error: unknown) => onError(`showing the progress of ${work.handle}`, error);
    const board = new ProgressBoard(publish, () => this.#editMs(id), onFailure);
    this.#boards.set(work.id, { chat: id, board });
    return board;
  }

  /** What a chat bears counts for all its messages together. */
  #editMs(chat: number | null): number {
    const beside = [...this.#boards.values()].filter((one) => one.chat === chat).length;
    const isGroup = chat !== null && chat < 0;
    return this.#parts.minEditMs * Math.max(1, beside) * (isGroup ? GROUP_FACTOR : 1);
  }
}

/** A bot that is killed between the sending and its own note of it sends again, and people see it once. */
const messageName = ({ id, started_at }: WorkRecord, what: "progress" | "end"): string =>
  `${id}-${Date.parse(started_at)}-${what}`;
