import type { IncomingMessage, ServerResponse } from "node:http";
import type { Parameters } from "./bot-api/read-parameters.ts";

/** One call of the bot, checked and addressed; its body is not read yet. */
export interface MethodCall {
  /** as the bot wrote it; Telegram does not mind the case */
  method: string;
  query: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
}

export interface FileCall {
  path: string;
  response: ServerResponse;
}

/** What answers `getUpdates` where the bot polls by itself. */
export interface UpdateSource {
  /** settles at the first call */
  readonly asked: Promise<void>;
  /** @throws BotApiError as Telegram says it */
  take(parameters: Parameters, signal: AbortSignal): Promise<unknown>;
}

/** The side that the bot's calls go to. */
export interface Upstream {
  /** the chat page, if the upstream has one */
  readonly chatUrl: string | null;
  /** null: updates come by the bot's webhook */
  readonly updates: UpdateSource | null;
  /** Answers the call. @throws BotApiError to be told to the bot */
  call(call: MethodCall): Promise<void>;
  download(call: FileCall): Promise<void>;
  close(): Promise<void>;
}
