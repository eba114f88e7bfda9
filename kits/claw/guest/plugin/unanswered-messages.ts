import { createHash } from "node:crypto";
import { askText, cutOffNote, gaveUpText } from "./cut-off-texts.ts";
import { type Kept, KeptFiles } from "./kept-files.ts";
import type { AgentEvent } from "./openclaw-api.ts";
import { QuietChats } from "./quiet-chats.ts";

/** What somebody said, from when OpenClaw hands it to a turn, until that turn has ended. */
export interface Message extends Kept {
  /** OpenClaw's key of the chat */
  session: string;
  /** as the messenger numbers it */
  message: string;
  text: string;
  /** a turn has it: out of OpenClaw's queue it is not heard again, even where the kill came before it was taken out */
  begun?: true;
  /** how often a turn was told of it after it was cut off */
  tries: number;
}

/**
 * `received`: it waits for a turn of this process. `begun`: a turn has it. `ended`: only the answer has to be handed over yet.
 * `queued`: an earlier process had it, and it is to come out of OpenClaw's queue again. `taken`: out of there, and not come yet.
 * `cut`: it does not come from there. `told`: cut, and a turn that goes on in its chat has been told of it.
 */
interface Entry {
  kept: Message;
  state: "received" | "begun" | "ended" | "queued" | "taken" | "cut" | "told";
  /** that was told */
  run?: string | undefined;
  /** how often in a row it could be neither asked nor told */
  failures?: number;
  /** looks in a row that found it on its way to no turn; the bot may have been paused in between, so no clock says it */
  looks: number;
}

export interface UnansweredDeps {
  folder: string;
  warn: (text: string) => void;
  /** Whether OpenClaw has it in its queue, from where it comes again. @throws Error when that cannot be known */
  queued: (patienceMs: number) => (message: Message) => boolean;
  /** whether OpenClaw has a turn of that chat to end, or to take up after a restart */
  isRunning: (session: string) => boolean;
  /** Begins a turn. @throws Error when none has begun */
  ask: (session: string, text: string) => Promise<void>;
  /** Says it to the chat, once for each name. */
  tell: (session: string, text: string, name: string) => Promise<void>;
  /** whether something that an earlier process had is to be answered yet */
  onOwing: (owing: boolean) => void;
}

const KEPT_MS = 24 * 3_600_000;
const MOST_TRIES = 3;
/** a chat in which no turn begins for some five minutes is told; one that cannot be told for as long is gone */
const MOST_FAILURES = 30;
const LOOK_MS = 1000;
/** For OpenClaw's queue: what is not known at the start is asked by nobody. A look has another one behind it. */
const START_PATIENCE_MS = 5000;
/** OpenClaw hands an answer over within so many looks after the end of the turn, or there is none. */
const SETTLE_LOOKS = 6;
/** What has begun no turn for so many looks in a quiet chat begins none: a command, or what was not meant for the bot. */
const NO_TURN_LOOKS = 60;
/** What is no more in the queue for so many looks, and has not come, was taken for one that had come before. */
const TAKEN_LOOKS = 10;
/** What has not come out of the queue by then does not: whoever had taken it died with it. */
const STUCK_IN_QUEUE_LOOKS = 600;
/** so ends a turn that goes on after the next start */
const RESTART = "restart";

/**
 * Remembers which messages have no ended turn yet. OpenClaw keeps a message in its queue until a turn is to begin with it; of
 * what a kill then cuts off it takes up most, and lets some go. That is asked again: the next turn of the chat, whatever it is
 * for, is told of it; where none comes, one is begun.
 */
export class UnansweredMessages {
  readonly #deps: UnansweredDeps;
  readonly #files: KeptFiles<Message>;
  readonly #entries = new Map<string, Entry>();
  readonly #chats: QuietChats;
  #timer: NodeJS.Timeout | undefined;
  #isOwing = false;

  constructor(deps: UnansweredDeps) {
    this.#deps = deps;
    const { folder, warn, isRunning } = deps;
    this.#chats = new QuietChats(isRunning);
    this.#files = new KeptFiles({ folder, keptMs: KEPT_MS, what: "a message without an answer", warn });
  }

  /** To be called before OpenClaw takes anything out of its queue. */
  start(): void {
    const left = this.#files.left();
    if (left.length === 0) return;
    try {
      const isQueued = this.#deps.queued(START_PATIENCE_MS);
      for (const kept of left) {
        const state = kept.begun !== true && isQueued(kept) ? "queued" : "cut";
        this.#entries.set(kept.id, { kept, state, looks: 0 });
      }
    } catch (error) {
      this.#deps.warn(`what was cut off cannot be asked again, for OpenClaw's queue cannot be read: ${String(error)}`);
    }
    this.#sayCut(this.#those("cut").length);
    this.#watch();
  }

  close(): void {
    this.#entries.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** OpenClaw takes it out of its queue next. The same message again is the same. */
  received(session: string, message: string, text: string): void {
    const id = createHash("sha256").update(`${session}\n${message}`).digest("base64url");
    const kept: Message = this.#entries.get(id)?.kept ?? {
      id,
      at: this.#files.now(),
      session,
      message,
      text,
      tries: 0,
    };
    delete kept.begun;
    // what was written in a row comes as one, and may come out of the queue together with more
    const before = [...this.#those("queued", session), ...this.#those("taken", session)];
    for (const other of before) if (hasLines(text, other.kept.text)) this.#forget(other);
    this.#entries.set(id, { kept, state: "received", looks: 0 });
    this.#files.put(kept);
    this.#chats.stirred(session);
    this.#watch();
  }

  /** A turn has it. @param message null: of several, which are in its text */
  begun(session: string, message: string | null, text: string): void {
    for (const entry of this.#those("received", session)) {
      const { kept } = entry;
      if (message === null ? !hasLines(text, kept.text) : kept.message !== message) continue;
      entry.state = "begun";
      kept.begun = true;
      this.#files.put(kept);
    }
  }

  /**
   * What a turn of that chat has to be told beside its prompt; null: nothing. One that builds its prompt again is told again. Where
   * an earlier one was told, that came to nothing: the turns of a chat come one after the other.
   */
  noteFor(session: string, run: string | undefined): string | null {
    const open = [...this.#those("cut", session), ...this.#those("told", session)];
    if (open.length === 0) return null;
    // each try counts before it is made, since it may be what ends the process
    for (const entry of open.filter((one) => one.state === "cut" || one.run !== run)) {
      Object.assign(entry, { state: "told", run });
      entry.kept.tries += 1;
      this.#files.put(entry.kept);
    }
    return cutOffNote(open.toSorted((one, other) => one.kept.at - other.kept.at).map(({ kept }) => kept.text));
  }

  seen({ runId, sessionKey, stream, data }: AgentEvent): void {
    if (stream !== "lifecycle") return;
    const session = sessionKey ?? this.#chats.sessionOf(runId);
    if (session === undefined) return;
    switch (data["phase"]) {
      case "start":
        this.#chats.began(runId, session);
        return;
      case "end":
      case "error":
        this.#chats.ended(runId);
        if (data["stopReason"] !== RESTART) this.#ended(session, runId, data);
    }
  }

  /** A text for that chat is on disk, on its way. */
  handedOver(isOf: (session: string) => boolean): void {
    for (const entry of this.#those("ended")) if (isOf(entry.kept.session)) this.#forget(entry);
  }

  #ended(session: string, run: string, data: Record<string, unknown>): void {
    this.#chats.stirred(session);
    const told = this.#those("told", session).filter((entry) => entry.run === undefined || entry.run === run);
    // of a failure the user was told, but not of what else was to be answered
    if (data["phase"] === "error") for (const entry of told) entry.state = "cut";
    const over = [...this.#those("begun", session), ...told].filter(({ state }) => state !== "cut");
    for (const entry of over) Object.assign(entry, { state: "ended", looks: 0 });
    if (isSettled(data)) for (const entry of over) this.#forget(entry);
    this.#watch();
  }

  /** What is expected is looked for each second, and no more when it has come; while something is owed the bot stays awake. */
  #watch(): void {
    const isOwing = [...this.#entries.values()].some(({ state }) => OWED.has(state));
    if (isOwing !== this.#isOwing) this.#deps.onOwing(isOwing);
    this.#isOwing = isOwing;
    if (!isOwing && this.#those("received").length + this.#those("ended").length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  #look(): void {
    for (const entry of this.#entries.values()) if (this.#files.isOver(entry.kept)) this.#forget(entry);
    for (const entry of this.#those("ended")) if ((entry.looks += 1) >= SETTLE_LOOKS) this.#forget(entry);
    this.#lookForTurns();
    this.#lookInQueue();
    const open = [...this.#those("cut"), ...this.#those("told")];
    for (const session of new Set(open.map(({ kept }) => kept.session)))
      if (this.#chats.found(session, this.#isExpectedIn(session))) void this.#answer(session);
  }

  #lookForTurns(): void {
    for (const entry of this.#those("received")) {
      entry.looks = this.#chats.isQuiet(entry.kept.session) ? entry.looks + 1 : 0;
      if (entry.looks >= NO_TURN_LOOKS) this.#forget(entry);
    }
  }

  #lookInQueue(): void {
    const expected = this.#those("queued");
    const isQueued = expected.length === 0 ? null : this.#readQueue();
    for (const entry of expected)
      if (isQueued?.(entry.kept) === false) Object.assign(entry, { state: "taken", looks: 0 });
    const late = [
      ...this.#those("queued").filter((entry) => (entry.looks += 1) >= STUCK_IN_QUEUE_LOOKS),
      ...this.#those("taken").filter((entry) => (entry.looks += 1) >= TAKEN_LOOKS),
    ];
    for (const entry of late) entry.state = "cut";
    this.#sayCut(late.length);
  }

  /** @returns null when OpenClaw has its database to itself for a moment, or for good: then what is expected is late in the end */
  #readQueue(): ((message: Message) => boolean) | null {
    try {
      return this.#deps.queued(0);
    } catch (error) {
      if (error instanceof Error) return null;
      throw error;
    }
  }

  #sayCut(count: number): void {
    if (count === 0) return;
    this.#deps.warn(
      `${count} messages had no answer when the gateway ended, and are not in its queue: they are asked again`,
    );
  }

  async #answer(session: string): Promise<void> {
    this.#chats.stirred(session);
    // the run that was told came to nothing
    for (const entry of this.#those("told", session)) entry.state = "cut";
    for (const entry of this.#those("cut", session)) if (isHopeless(entry)) await this.#giveUp(entry);
    const open = this.#those("cut", session).filter((entry) => !isHopeless(entry));
    if (open.length === 0) return;
    try {
      this.#chats.asked(session);
      await this.#deps.ask(session, askText);
    } catch (error) {
      this.#chats.refused(session);
      this.#failed(open, "asked again", error);
    }
  }

  async #giveUp(entry: Entry): Promise<void> {
    const { session, text, id } = entry.kept;
    try {
      await this.#deps.tell(session, gaveUpText(text), `message-${id}`);
      this.#forget(entry);
    } catch (error) {
      this.#failed([entry], "told", error);
      if ((entry.failures ?? 0) >= 2 * MOST_FAILURES) this.#forget(entry);
    }
  }

  #failed(entries: Entry[], what: string, error: unknown): void {
    for (const entry of entries) entry.failures = (entry.failures ?? 0) + 1;
    const reason = error instanceof Error ? error.message : String(error);
    this.#deps.warn(`what was cut off could not be ${what}, and is tried again: ${reason}`);
  }

  #forget({ kept }: Entry): void {
    if (!this.#entries.delete(kept.id)) return;
    this.#files.remove(kept);
    this.#watch();
  }

  #isExpectedIn(session: string): boolean {
    return TO_HAVE_A_TURN.some((state) => this.#those(state, session).length > 0);
  }

  #those(wanted: Entry["state"], session?: string): Entry[] {
    return [...this.#entries.values()].filter(
      ({ state, kept }) => state === wanted && (session === undefined || kept.session === session),
    );
  }
}

/** OpenClaw begins one for it by itself */
const TO_HAVE_A_TURN: readonly Entry["state"][] = ["queued", "taken", "received", "begun"];
const OWED: ReadonlySet<Entry["state"]> = new Set(["queued", "taken", "cut", "told"]);

const isHopeless = ({ kept, failures = 0 }: Entry): boolean => kept.tries >= MOST_TRIES || failures >= MOST_FAILURES;

const hasLines = (text: string, part: string): boolean => `\n${text}\n`.includes(`\n${part}\n`);

/** OpenClaw says that it has sent the answer, or that there is none; mostly it sends it after the end. */
function isSettled({ terminalDelivery, terminalReply }: Record<string, unknown>): boolean {
  const { disposition } = (terminalReply ?? {}) as { disposition?: unknown };
  return terminalDelivery !== undefined || (disposition !== undefined && disposition !== "visible");
}
