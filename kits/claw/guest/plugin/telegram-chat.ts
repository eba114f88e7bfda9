import type { Chat } from "./chat.ts";
import type { DeliveryContext } from "./openclaw-api.ts";

interface BotApiAnswer {
  ok: boolean;
  description?: string;
  result?: { message_id?: number };
}

/**
 * Speaks the Bot API itself: OpenClaw's outbound adapter can send but not edit. The token is a placeholder, as for
 * OpenClaw: the host puts the real one in.
 */
export class TelegramChat implements Chat {
  readonly #base: string;

  constructor(apiRoot: string, botToken: string) {
    this.#base = `${apiRoot}/bot${botToken}`;
  }

  reaches(to: DeliveryContext): boolean {
    return to.channel === "telegram" && chatId(to) !== null;
  }

  async send(to: DeliveryContext, text: string): Promise<number> {
    const answer = await this.#call("sendMessage", { ...target(to), text });
    if (answer.result?.message_id === undefined) throw new Error("sendMessage: the answer has no message_id");
    return answer.result.message_id;
  }

  async edit(to: DeliveryContext, message: number, text: string): Promise<void> {
    await this.#call("editMessageText", { chat_id: chatId(to), message_id: message, text });
  }

  async #call(method: string, body: Record<string, unknown>): Promise<BotApiAnswer> {
    const response = await fetch(`${this.#base}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    const answer = (await response.json()) as BotApiAnswer;
    if (!answer.ok && !/message is not modified/.test(answer.description ?? ""))
      throw new Error(`${method}: ${answer.description ?? `HTTP ${response.status}`}`);
    return answer;
  }
}

function target(to: DeliveryContext) {
  const thread = to.threadId === undefined ? null : Number(to.threadId);
  return { chat_id: chatId(to), ...(thread === null || Number.isNaN(thread) ? {} : { message_thread_id: thread }) };
}

/** `telegram:42`, `telegram:group:-100123` or plain `42`. */
function chatId(to: DeliveryContext): number | null {
  const digits = /(?:^|:)(-?\d+)(?::topic:\d+)?$/.exec(to.to ?? "")?.[1];
  return digits === undefined ? null : Number(digits);
}
