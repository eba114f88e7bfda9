import type { IncomingMessage, ServerResponse } from "node:http";

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

/** The side that the bot's calls go to. */
export interface Upstream {
  /** the chat page, if the upstream has one */
  readonly chatUrl: string | null;
  /** Answers the call. @throws BotApiError to be told to the bot */
  call(call: MethodCall): Promise<void>;
  download(call: FileCall): Promise<void>;
  close(): Promise<void>;
}
