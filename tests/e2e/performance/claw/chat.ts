import { type BotApiDouble, startBotApiDouble } from "../../bot-api-double.ts";
import { orAborted } from "./aborted.ts";

export const TOKEN = "4242:the-token-of-this-bench";
export const PERSON = 42;
const PATIENCE_MS = 180_000;

/** One person's chat with a bot over a Bot API of its own; the bot's model answers `q7` with `a7`. */
export class Chat implements AsyncDisposable {
  readonly #telegram: BotApiDouble;
  readonly #signal: AbortSignal;
  #asked = 0;

  private constructor(telegram: BotApiDouble, signal: AbortSignal) {
    this.#telegram = telegram;
    this.#signal = signal;
  }

  static async open(signal: AbortSignal): Promise<Chat> {
    return new Chat(await startBotApiDouble({ token: TOKEN }), signal);
  }

  /** of the Bot API */
  get url(): string {
    return this.#telegram.url;
  }

  /** Says something. @returns ms until the first message that answers it has reached the Bot API */
  async reply(): Promise<number> {
    this.#asked += 1;
    const answer = new RegExp(`\\ba${this.#asked}\\b`);
    const start = performance.now();
    this.#telegram.say(`q${this.#asked}`, PERSON);
    const answered = this.#telegram.waitForMessage(({ text }) => answer.test(text), PATIENCE_MS);
    await orAborted(answered, this.#signal);
    return performance.now() - start;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#telegram.close();
  }
}
