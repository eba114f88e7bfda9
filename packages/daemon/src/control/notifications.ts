import Type from "typebox";
import { Compile } from "typebox/compile";
import { MAX_LOG_LINE_BYTES } from "@aegis/protocol/control";
import type { HarnessObserver, ReverseStream } from "../core/harness.ts";

const count = Type.Number({ minimum: 0 });
const short = Type.String({ maxLength: 4096 });

const log = Compile(
  Type.Object({
    stream: Type.Union([Type.Literal("stdout"), Type.Literal("stderr")]),
    line: Type.String(),
    ts: short,
    seq: Type.Optional(Type.Integer({ minimum: 1 })),
  }),
);
const dropped = Compile(Type.Object({ lines: Type.Integer({ minimum: 1 }) }));
const activity = Compile(Type.Object({ tcp: count, cpu_ms: count, net_bytes: count }));
const processExited = Compile(
  Type.Object({ code: Type.Integer({ minimum: 0, maximum: 255 }), signal: Type.Union([short, Type.Null()]) }),
);
const streamOpen = Compile(
  Type.Union([
    Type.Object({ stream_id: short, token: short, kind: Type.Literal("guest_api") }),
    Type.Object({ stream_id: short, token: short, kind: Type.Literal("binding"), binding: short }),
  ]),
);

/**
 * Hands what the harness says to the observer, if it is what it should be. The guest is not trusted: the rest is dropped.
 * @param offer null when no further stream may be opened
 * @returns a promise where no more should be read before it is settled
 */
export function dispatchNotification(
  method: string,
  params: unknown,
  observer: HarnessObserver,
  offer: (streamId: string) => ReverseStream | null,
): void | Promise<void> {
  if (method === "log" && log.Check(params)) {
    return observer.log({ ...params, ts: hostTime(params.ts), line: params.line.slice(0, 2 * MAX_LOG_LINE_BYTES) });
  } else if (method === "log.dropped" && dropped.Check(params)) observer.logDropped(params.lines);
  else if (method === "activity" && activity.Check(params)) observer.activity(params);
  else if (method === "processExited" && processExited.Check(params)) observer.processExited(params);
  else if (method === "stream.open" && streamOpen.Check(params)) {
    const reverse = offer(params.stream_id);
    if (reverse !== null) observer.streamOpened(params, reverse);
  }
}

/** A time that does not parse is replaced by the host's. */
const hostTime = (ts: string): string => (Number.isNaN(Date.parse(ts)) ? new Date().toISOString() : ts);
