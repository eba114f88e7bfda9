import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type Answer, attempt, NAME_HEADER } from "./bot-api-call.ts";
import type { Outbox, Outgoing } from "./outbox.ts";

/** OpenClaw gives a call up after 60 s, and then nobody knows what became of it. */
const HELD_MS = 45_000;
const FIRST_PAUSE_MS = 200;
/** while OpenClaw waits, and when it does not any more */
const LONGEST_PAUSE_MS = { waited: 3000, alone: 30_000 };
/** OpenClaw tries again within this time, or not at all */
const UNHEARD_MS = 120_000;

interface Flight {
  outgoing: Outgoing;
  /** OpenClaw waits for the answer */
  waited: boolean;
  done: Promise<Answer | null>;
}

interface Dependencies {
  outbox: Outbox;
  /** the Bot API as the binding shows it */
  target: string;
  warn: (text: string) => void;
  /** A text for that chat is on disk, and will be sent whatever happens. */
  onKept?: (chat: string) => void;
  /** how long OpenClaw is let wait */
  heldMs?: number;
}

/**
 * Messages on their way to the chat. Each is on disk before it is sent and until it has an answer, so one that a kill has cut
 * off is sent by the next process. Its name goes with it, by which the host's relay knows what it has sent. Those of one chat
 * keep their order.
 */
export class OutgoingMessages {
  readonly #deps: Dependencies;
  /** the newest of the same words */
  readonly #flights = new Map<string, Flight>();
  /** answers that came when OpenClaw did not wait any more */
  readonly #unheard = new Map<string, Answer>();
  /** the newest of each chat */
  readonly #lanes = new Map<string, Promise<unknown>>();

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  /** Sends what an earlier process had on its way. To be called once, before the first message. */
  resume(): void {
    const { outbox, warn } = this.#deps;
    const left = outbox.left();
    if (left.length > 0) warn(`${left.length} messages were on their way when the gateway ended: they are sent now`);
    for (const outgoing of left) this.#fly(outgoing, false);
  }

  /**
   * @param asker OpenClaw's call, which may go away
   * @returns null when it takes longer than OpenClaw waits: it goes on, and the same words again ask what became of it
   */
  async send(url: string, body: string, asker: ServerResponse): Promise<Answer | null> {
    const words = wordsOf({ url, body });
    const missed = this.#unheard.get(words);
    this.#unheard.delete(words);
    if (missed !== undefined) return missed;
    const before = this.#flights.get(words);
    const flight = before?.waited === false ? before : this.#take(url, body);
    flight.waited = true;
    asker.once("close", () => (flight.waited = false));
    const held = delay(this.#deps.heldMs ?? HELD_MS, null, { ref: false });
    const answer = await Promise.race([flight.done, held]);
    flight.waited = false;
    return answer;
  }

  #take(url: string, body: string): Flight {
    const { outbox, onKept } = this.#deps;
    const outgoing = outbox.put(url, body);
    onKept?.(chatOf(outgoing));
    return this.#fly(outgoing, true);
  }

  #fly(outgoing: Outgoing, waited: boolean): Flight {
    const words = wordsOf(outgoing);
    const chat = chatOf(outgoing);
    const flight: Flight = { outgoing, waited, done: Promise.resolve(null) };
    flight.done = (this.#lanes.get(chat) ?? Promise.resolve()).then(() => this.#deliver(flight));
    this.#lanes.set(chat, flight.done);
    this.#flights.set(words, flight);
    void flight.done.then(() => {
      if (this.#lanes.get(chat) === flight.done) this.#lanes.delete(chat);
      if (this.#flights.get(words) === flight) this.#flights.delete(words);
    });
    return flight;
  }

  /** Tries until the Bot API has said something, or the message is too old. Never rejects. */
  async #deliver(flight: Flight): Promise<Answer | null> {
    const { outbox, warn } = this.#deps;
    const { outgoing } = flight;
    for (let pause = FIRST_PAUSE_MS; !outbox.isOver(outgoing); pause *= 2) {
      const answer = await this.#try(outgoing);
      // asked for patience, OpenClaw comes back by itself
      const patienceMs = answer === null ? 0 : patienceOf(answer);
      if (answer !== null && (flight.waited || patienceMs === 0)) return this.#landed(flight, answer);
      const longest = LONGEST_PAUSE_MS[flight.waited ? "waited" : "alone"];
      await delay(Math.max(patienceMs, Math.min(pause, longest)), undefined, { ref: false });
    }
    warn("a message could not be sent for a whole day, and is given up");
    outbox.remove(outgoing);
    return null;
  }

  #try({ id, url, body }: Outgoing): Promise<Answer | null> {
    const bytes = Buffer.from(body);
    const headers = { "content-type": "application/json", "content-length": String(bytes.length), [NAME_HEADER]: id };
    return attempt(this.#deps.target, { method: "POST", url, headers }, bytes, HELD_MS);
  }

  #landed({ outgoing, waited }: Flight, answer: Answer): Answer {
    this.#deps.outbox.remove(outgoing);
    if (waited) return answer;
    const words = wordsOf(outgoing);
    this.#unheard.set(words, answer);
    setTimeout(() => this.#unheard.delete(words), UNHEARD_MS).unref();
    return answer;
  }
}

const wordsOf = ({ url, body }: Pick<Outgoing, "url" | "body">): string => `${url}\n${body}`;

function chatOf({ body }: Outgoing): string {
  try {
    return String((JSON.parse(body) as { chat_id?: unknown }).chat_id);
  } catch {
    return "";
  }
}

/** How long the Bot API asks to wait, in ms; 0: it does not. */
function patienceOf({ status, body }: Answer): number {
  if (status !== 429) return 0;
  const { parameters } = JSON.parse(body.toString()) as { parameters?: { retry_after?: unknown } };
  const seconds = Number(parameters?.retry_after);
  return seconds > 0 ? seconds * 1000 : LONGEST_PAUSE_MS.alone;
}
