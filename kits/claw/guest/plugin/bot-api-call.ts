import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";

/** The host's relay takes a call of the same name for the same call. Letters, digits, `-` and `_`, 16 to 64 of them. */
export const NAME_HEADER = "x-claw-send-id";

/** The head of a call, as OpenClaw makes it. */
export interface CallHead {
  method: string;
  /** path and query */
  url: string;
  headers: IncomingHttpHeaders;
}

export interface Answer {
  status: number;
  body: Buffer;
}

/** Settles with the head of the answer; the caller writes the body and ends it. Rejects when nobody answers. */
export function passOn(
  target: string,
  { method, url, headers: all }: CallHead,
  write: (outgoing: ReturnType<typeof httpRequest>) => void,
  end: AbortSignal | ServerResponse,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host: _host, connection: _connection, ...headers } = all;
    const signal = end instanceof AbortSignal ? { signal: end } : {};
    const outgoing = httpRequest(`${target}${url}`, { method, headers, ...signal });
    if (!(end instanceof AbortSignal)) end.once("close", () => outgoing.destroy());
    outgoing.on("response", resolve);
    outgoing.on("error", reject);
    write(outgoing);
  });
}

/** @returns null when it is worth another try: cut off, or not answered by the Bot API itself, or broken on its side */
export async function attempt(target: string, head: CallHead, body: Buffer, ms: number): Promise<Answer | null> {
  try {
    const incoming = await passOn(target, head, (outgoing) => outgoing.end(body), AbortSignal.timeout(Math.max(ms, 1)));
    const found = Buffer.concat(await incoming.toArray());
    const status = incoming.statusCode ?? 502;
    return status < 500 && isBotApi(found) ? { status, body: found } : null;
  } catch {
    return null;
  }
}

function isBotApi(body: Buffer): boolean {
  try {
    return "ok" in (JSON.parse(body.toString()) as object);
  } catch {
    return false;
  }
}
