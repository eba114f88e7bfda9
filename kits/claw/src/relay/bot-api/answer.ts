import type { ServerResponse } from "node:http";

/** An error that the Bot API tells its client. */
export class BotApiError extends Error {
  override readonly name = "BotApiError";
  readonly status: number;
  readonly retryAfterS: number | null;

  /** @param message what Telegram puts into `description`; never contains a secret */
  constructor(status: number, message: string, retryAfterS: number | null = null) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

export function answerResult(response: ServerResponse, result: unknown): void {
  send(response, 200, { ok: true, result });
}

export function answerError(response: ServerResponse, error: BotApiError): void {
  const wait = error.retryAfterS === null ? {} : { parameters: { retry_after: error.retryAfterS } };
  send(response, error.status, { ok: false, error_code: error.status, description: error.message, ...wait });
}
