import { setTimeout as delay } from "node:timers/promises";
import { endText, failedText, progressText, stoppedText } from "./chat-text.ts";
import type { Chat } from "./chat.ts";
import type { DeliveryContext } from "./openclaw-api.ts";
import { ProgressBoard } from "./progress-board.ts";
import type { WorkProgress } from "./work-progress.ts";
import type { WorkRecord } from "./work-record.ts";
import type { WorkStore } from "./work-store.ts";
import type { Audience, Outcome } from "./work-watcher.ts";

const RETRY_AFTER_MS = [1000, 3000, 10_000, 30_000];

/** Lets the agent of the chat know. `wake`: at once, by a turn of its own; else with its next turn. */
export type InformAgent = (work: WorkRecord, text: string, wake: boolean) => void;

export interface TellerParts {
  chat: Chat;
  store: WorkStore;
  informAgent: InformAgent;
  /** between two edits of a message */
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
  readonly #boards = new Map<string, ProgressBoard>();

  constructor(parts: TellerParts) {
    this.#parts = parts;
  }

  progress(work: WorkRecord, progress: WorkProgress): void {
    const to = this.#reachable(work);
    if (to !== null && progress.end === null) this.#board(work, to).show(progressText(work, progress.steps, "running"));
  }

  async ended(work: WorkRecord, progress: WorkProgress, outcome: Outcome): Promise<void> {
    const text = outcomeText(work, outcome);
    const to = this.#reachable(work);
    const told = to !== null && (await this.#tell(work, to, text, progressText(work, progress.steps, outcome.kind)));
    const note = told ? "The person has been told this in the chat already, link included: do not repeat it." : "";
    this.#parts.informAgent(work, `${text}\n${note}`.trim(), !told);
  }

  async #tell(work: WorkRecord, to: DeliveryContext, text: string, progress: string): Promise<boolean> {
    // work that ended before its first step needs no second message
    if (this.#boards.has(work.id) || work.progress_message !== null) await this.#board(work, to).finish(progress);
    this.#boards.delete(work.id);
    const waits = this.#parts.retryAfterMs ?? RETRY_AFTER_MS;
    for (const wait of [...waits, null]) {
      try {
        await this.#parts.chat.send(to, text);
        return true;
      } catch (error) {
        this.#parts.onError(`telling the chat of ${work.handle}`, error);
        if (wait !== null) await delay(wait);
      }
    }
    return false;
  }

  #reachable(work: WorkRecord): DeliveryContext | null {
    return work.chat !== null && this.#parts.chat.reaches(work.chat) ? work.chat : null;
  }

  #board(work: WorkRecord, to: DeliveryContext): ProgressBoard {
    const { chat, store, minEditMs, onError } = this.#parts;
    let board = this.#boards.get(work.id);
    if (board === undefined) {
      let message = work.progress_message;
      const publish = async (text: string) => {
        if (message !== null) return await chat.edit(to, message, text);
        message = await chat.send(to, text);
        store.update(work.id, { progress_message: message });
      };
      board = new ProgressBoard(publish, minEditMs, (error) =>
        onError(`showing the progress of ${work.handle}`, error),
      );
      this.#boards.set(work.id, board);
    }
    return board;
  }
}

function outcomeText(work: WorkRecord, outcome: Outcome): string {
  switch (outcome.kind) {
    case "done":
      return endText(work, outcome.end);
    case "failed":
      return failedText(work, outcome.reason);
    case "stopped":
      return stoppedText(work);
  }
}
