import { type Button, type Chat, ChatBusy, type Upload } from "./chat.ts";
import type { DeliveryContext } from "./openclaw-api.ts";
import { NAME_HEADER } from "./bot-api-call.ts";

interface BotApiAnswer {
  ok: boolean;
  description?: string;
  result?: { message_id?: number };
  parameters?: { retry_after?: number };
}

const CALL_MS = 30_000;
const UPLOAD_MS = 300_000;
/** a picture that is larger, or has odd measures, is sent as a file */
const MAX_PHOTO_BYTES = 10_000_000;
const MAX_CAPTION = 1024;

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
    return to.channel === "telegram" && chatIdOf(to) !== null;
  }

  async send(to: DeliveryContext, text: string, buttons: Button[][] = [], name?: string): Promise<number> {
    const answer = await this.#call("sendMessage", { ...target(to), text, ...keyboard(buttons) }, name);
    if (answer.result?.message_id === undefined) throw new Error("sendMessage: the answer has no message_id");
    return answer.result.message_id;
  }

  async edit(to: DeliveryContext, message: number, text: string, buttons: Button[][] = []): Promise<void> {
    const body = { chat_id: chatIdOf(to), message_id: message, text, ...keyboard(buttons) };
    await this.#call("editMessageText", body);
  }

  async sendFile(to: DeliveryContext, file: Upload, caption: string): Promise<void> {
    if (file.picture && file.content.size <= MAX_PHOTO_BYTES) {
      try {
        return await this.#upload("sendPhoto", "photo", to, file, caption);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
    }
    await this.#upload("sendDocument", "document", to, file, caption);
  }

  /** The list that Telegram shows when somebody types "/". */
  async setMenu(commands: readonly { command: string; description: string }[]): Promise<void> {
    await this.#call("setMyCommands", { commands });
  }

  async #upload(method: string, field: string, to: DeliveryContext, file: Upload, caption: string): Promise<void> {
    const form = new FormData();
    for (const [name, value] of Object.entries(target(to))) form.set(name, String(value));
    form.set("caption", caption.slice(0, MAX_CAPTION));
    form.set(field, file.content, file.name);
    await this.#post(method, { body: form }, UPLOAD_MS);
  }

  #call(method: string, body: Record<string, unknown>, name?: string): Promise<BotApiAnswer> {
    const headers = { "content-type": "application/json", ...(name === undefined ? {} : { [NAME_HEADER]: name }) };
    return this.#post(method, { headers, body: JSON.stringify(body) }, CALL_MS);
  }

  async #post(method: string, init: RequestInit, timeoutMs: number): Promise<BotApiAnswer> {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(`${this.#base}/${method}`, { method: "POST", ...init, signal });
    const answer = (await response.json()) as BotApiAnswer;
    if (answer.ok || /message is not modified/.test(answer.description ?? "")) return answer;
    const retryAfter = answer.parameters?.retry_after;
    if (retryAfter !== undefined) throw new ChatBusy(retryAfter * 1000);
    const reason = `${method}: ${answer.description ?? `HTTP ${response.status}`}`;
    throw response.status === 400 || response.status === 413 ? new Refusal(reason) : new Error(reason);
  }
}

/** The same again would be refused again. */
class Refusal extends Error {
  override readonly name = "Refusal";
}

function keyboard(buttons: Button[][]) {
  if (buttons.length === 0) return {};
  const rows = buttons.map((row) => row.map(({ text, data }) => ({ text, callback_data: data })));
  return { reply_markup: { inline_keyboard: rows } };
}

function target(to: DeliveryContext) {
  const thread = to.threadId === undefined ? null : Number(to.threadId);
  return { chat_id: chatIdOf(to), ...(thread === null || Number.isNaN(thread) ? {} : { message_thread_id: thread }) };
}

/** `telegram:42`, `telegram:group:-100123` or plain `42`. */
export function chatIdOf(to: DeliveryContext): number | null {
  const digits = /(?:^|:)(-?\d+)(?::topic:\d+)?$/.exec(to.to ?? "")?.[1];
  return digits === undefined ? null : Number(digits);
}

export function isSameChat(one: DeliveryContext, other: DeliveryContext): boolean {
  const id = chatIdOf(one);
  const same = one.channel === other.channel && String(one.threadId ?? "") === String(other.threadId ?? "");
  return id !== null && id === chatIdOf(other) && same;
}
