import { request } from "node:http";
import type { WebhookOptions } from "../options.ts";

/** How one try ended. */
export type Outcome =
  | { kind: "accepted" }
  /** the bot will never take this one */
  | { kind: "refused"; reason: string }
  /** it broke on this one, or on all of them */
  | { kind: "broken"; reason: string }
  /** worth another try */
  | { kind: "failed"; reason: string; retryAfterS: number | null };

/** A cold boot of the bot takes half a minute, more on a busy machine, and the wake holds the connection meanwhile. */
const patienceMs = 180_000;
const permanent = new Set([400, 413]);

/** OpenClaw marks an answer whose update is in its own durable queue. A 200 without the mark came from somebody else. */
const isDurable = (header: string | string[] | undefined): boolean => header === "durable";

function judge(status: number, headers: NodeJS.Dict<string | string[]>): Outcome {
  if (status === 200 && isDurable(headers["x-openclaw-delivery-accepted"])) return { kind: "accepted" };
  if (permanent.has(status)) return { kind: "refused", reason: `the bot answered ${status}` };
  if (status === 500) return { kind: "broken", reason: "the bot answered 500" };
  const seconds = Number(headers["retry-after"] ?? Number.NaN);
  const reason = status === 200 ? "the bot answered 200 without a durable receipt" : `the bot answered ${status}`;
  return { kind: "failed", reason, retryAfterS: Number.isFinite(seconds) ? seconds : null };
}

const codeOf = (error: Error): string => ("code" in error ? String(error.code) : error.message);

/** Posts one update to the bot. Never throws. */
export function postUpdate(webhook: WebhookOptions, body: string, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve) => {
    const failed = (reason: string): void => resolve({ kind: "failed", reason, retryAfterS: null });
    const outgoing = request(webhook.url, {
      method: "POST",
      // no kept-alive socket: an open connection would keep the bot from falling asleep
      agent: false,
      signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
      headers: {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "x-telegram-bot-api-secret-token": webhook.secret,
      },
    });
    outgoing.on("error", (error) => failed(`the bot could not be reached (${codeOf(error)})`));
    outgoing.on("response", (response) => {
      response.resume();
      response.on("error", (error) => failed(`the bot broke off its answer (${codeOf(error)})`));
      response.on("end", () => resolve(judge(response.statusCode ?? 0, response.headers)));
    });
    outgoing.end(body);
  });
}
