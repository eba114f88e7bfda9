import type http from "node:http";
import type { Exchange } from "./exchange.ts";
import { ModelGuard } from "./model-guard.ts";
import { Refused } from "./refused.ts";
import { hasBody, MAX_REFUSED_BYTES, writeAll } from "./send-answer.ts";

/**
 * Sends the body on as it comes, as fast as the upstream takes it. When the upstream has gone, what still comes is
 * thrown away, up to a limit.
 * @throws Refused for what the binding does not allow; the upstream has not got all of the body then
 */
export async function sendBody(
  exchange: Exchange,
  request: http.IncomingMessage,
  upstream: http.ClientRequest,
): Promise<void> {
  if (!hasBody(request)) return void upstream.end();
  const { models } = exchange.target;
  const guard = models === null ? null : guardOf(request, models);
  let taken = 0;
  let thrownAway = 0;
  // without its last part no body is complete, so that the upstream acts on nothing that is refused later
  let last: Buffer | null = null;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (upstream.destroyed) {
      thrownAway += chunk.length;
      if (thrownAway > MAX_REFUSED_BYTES) return;
      continue;
    }
    taken += chunk.length;
    checkSize(exchange, taken);
    exchange.count({ request_bytes: chunk.length });
    guard?.push(chunk);
    const next: Buffer | null = guard === null ? chunk : last;
    last = chunk;
    if (next !== null) await writeAll(upstream, next);
  }
  guard?.finish();
  upstream.end(guard === null ? undefined : (last ?? undefined));
}

/** @throws Refused when a body that says how long it is is too long */
export function checkAnnounced(exchange: Exchange, request: http.IncomingMessage): void {
  checkSize(exchange, Number(request.headers["content-length"] ?? 0));
}

function checkSize({ target }: Exchange, bytes: number): void {
  const most = target.limits.body_bytes;
  if (most === undefined || bytes <= most) return;
  throw new Refused("too_large", `The body is larger than the ${most} bytes that this binding lets through.`);
}

function guardOf({ headers }: http.IncomingMessage, models: readonly string[]): ModelGuard {
  const coding = headers["content-encoding"] ?? "identity";
  if (coding === "identity") return new ModelGuard(models);
  throw new Refused("malformed", `This binding lets certain models through only, so a body may not be ${coding}.`);
}
