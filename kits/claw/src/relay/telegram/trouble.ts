import { messageOf } from "@aegis/protocol/errors";
import { TelegramFailure } from "./telegram-client.ts";

type Kind = "conflict" | "webhook-taken" | "unauthorized" | "unreachable" | "public-url" | "tunnel";

/** A network may stumble; what lasts for longer than this many tries in a row is worth a person's attention. */
const patience = 3;

/** Tells a person once what is wrong with Telegram and what to do, and once that it is over. */
export class Trouble {
  readonly #tell: (text: string) => void;
  #told: Kind | null = null;

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  /** @param failures in a row, this one included */
  met(error: unknown, failures: number): void {
    const kind = kindOf(error);
    if (kind === "unreachable" && failures < patience) return;
    this.begin(kind, texts[kind](messageOf(error)));
  }

  begin(kind: Kind, text: string): void {
    if (this.#told === kind) return;
    this.#told = kind;
    this.#tell(text);
  }

  over(): void {
    if (this.#told === null) return;
    this.#told = null;
    this.#tell("Telegram: all is well again");
  }
}

function kindOf(error: unknown): "conflict" | "webhook-taken" | "unauthorized" | "unreachable" {
  if (!(error instanceof TelegramFailure)) return "unreachable";
  if (error.status === 409) return error.message.includes("webhook") ? "webhook-taken" : "conflict";
  return error.status === 401 || error.status === 404 ? "unauthorized" : "unreachable";
}

const texts = {
  conflict: () =>
    "Telegram: another program polls with this bot's token, so messages may go to that one instead. Stop it (an old OpenClaw, a script, another machine), or give this bot a token of its own. Trying on meanwhile.",
  "webhook-taken": () =>
    "Telegram: another program has set a webhook for this bot's token. It is removed; if this comes again, stop that program.",
  unauthorized: () =>
    "Telegram: the bot token is refused, so nothing arrives. If it was revoked, put the new one of @BotFather into TELEGRAM_BOT_TOKEN and start again.",
  unreachable: (why: string) =>
    `Telegram: cannot be reached (${why}). Nothing is lost: messages wait there, and trying goes on.`,
};
