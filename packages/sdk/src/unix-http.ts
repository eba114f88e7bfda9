import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { pipeline, type Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { AegisError } from "@aegis/protocol/errors";
import { isErrorBody } from "./error-body.ts";

/** An import would read every export, and with the lazy ones load all of fetch: 15 ms at the start of every command. */
const { request } = process.getBuiltinModule("node:http");

export interface HttpCall {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** sent as it comes, instead of a body */
  upload?: Readable;
  signal?: AbortSignal | undefined;
}

/** HTTP to the daemon, one connection a call: on a unix socket that costs less than keeping one fresh. */
export class UnixHttp {
  readonly socketPath: string;
  readonly #absent: string;

  /** @param absent what to say and to do when nobody listens there */
  constructor(socketPath: string, absent = `aegisd is not running at ${socketPath}: start it with \`aegis up\``) {
    this.socketPath = socketPath;
    this.#absent = absent;
  }

  /** The whole answer as JSON; `undefined` where it has no body. */
  async json<T>(call: HttpCall): Promise<T> {
    const body = await text(await this.open(call));
    return parseAnswer(body) as T;
  }

  /** The answer as a stream, once its status is known to be good. @throws AegisError the daemon's own, or `unavailable` */
  async open(call: HttpCall): Promise<IncomingMessage> {
    const answer = await this.#send(call);
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return answer;
    throw errorOf(status, await text(answer));
  }

  #send(call: HttpCall): Promise<IncomingMessage> {
    const payload = call.body === undefined ? null : JSON.stringify(call.body);
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          socketPath: this.socketPath,
          method: call.method,
          path: call.path + queryText(call.query),
          agent: false,
          headers: headersOf(call, payload),
          ...(call.signal ? { signal: call.signal } : {}),
        },
        (answer) => {
          if (call.upload !== undefined) answer.once("end", () => sent.destroy());
          resolve(answer);
        },
      );
      sent.on("error", (cause) => reject(this.connectionError(cause)));
      if (call.upload === undefined) sent.end(payload ?? undefined);
      else pipeline(call.upload, sent, (cause) => cause && reject(this.connectionError(cause)));
    });
  }

  /** What a failed connection means to the person who asked. */
  connectionError(cause: Error): Error {
    if (cause instanceof AegisError || cause.name === "AbortError") return cause;
    const code = "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ECONNREFUSED") return new AegisError("unavailable", this.#absent, { cause });
    if (code === "EACCES")
      return new AegisError(
        "forbidden",
        `the daemon's socket ${this.socketPath} belongs to another user: run this as the user who started aegisd, or with sudo`,
        { cause },
      );
    return new AegisError(
      "unavailable",
      `the connection to aegisd at ${this.socketPath} broke (${cause.message}): see \`aegis status\``,
      { cause },
    );
  }
}

/** An error answer as the error it stands for, also where the body is not the daemon's. */
export function errorOf(status: number, body: string): AegisError {
  const answer = parseAnswer(body);
  if (isErrorBody(answer)) return AegisError.fromBody(answer);
  return new AegisError("internal", `aegisd answered HTTP ${status} without saying why: see its log, data/aegisd.log`);
}

export function queryText(query: HttpCall["query"]): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) params.set(name, String(value));
  return params.size === 0 ? "" : `?${params.toString()}`;
}

function parseAnswer(body: string): unknown {
  if (body === "") return undefined;
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new AegisError("internal", "aegisd answered with something that is not JSON: is it the same version?", {
      cause,
    });
  }
}

function headersOf({ upload }: HttpCall, payload: string | null): OutgoingHttpHeaders {
  // a daemon that refuses an upload and closes breaks it off before its answer is read: we close, when we have that
  if (upload !== undefined) return { connection: "keep-alive" };
  if (payload === null) return {};
  return { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
}
