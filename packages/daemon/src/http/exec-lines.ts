import { MAX_LOG_LINE_BYTES } from "@aegis/protocol/control";
import type { ProcessExit } from "@aegis/protocol/control";
import { AegisError } from "@aegis/protocol/errors";
import { FrameType } from "@aegis/protocol/exec-frame";
import type { ExecLine, ExecRequest } from "@aegis/protocol/exec";
import type { Instance } from "../core/instance.ts";
import type { Logs } from "../core/logs.ts";
import { LineCutter } from "./line-cutter.ts";

const SIGKILL_CODE = 137;

/** Runs a command and says what it prints, line by line; what it prints goes to the instance's logs as well. */
export async function* execLines(
  instance: Instance,
  logs: Logs,
  request: ExecRequest,
  signal: AbortSignal,
): AsyncGenerator<ExecLine> {
  const { execId: exec_id, session, release } = await instance.connections.exec(request);
  const onAbort = () => session.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    yield { exec_id, started_at: new Date().toISOString() };
    if (request.stdin !== undefined) void sendInput(session, request.stdin);
    else void session.send(FrameType.stdinEnd);
    const cutters = { stdout: new LineCutter(MAX_LOG_LINE_BYTES), stderr: new LineCutter(MAX_LOG_LINE_BYTES) };
    const say = (stream: "stdout" | "stderr", line: string): ExecLine => {
      const ts = new Date().toISOString();
      if (!instance.removed) logs.append(instance.id, { ts, stream, source: "exec", exec_id, line });
      return { exec_id, stream, line, ts };
    };
    for await (const { type, payload } of session.frames) {
      if (type === FrameType.stdout || type === FrameType.stderr) {
        const stream = type === FrameType.stdout ? "stdout" : "stderr";
        for (const line of cutters[stream].push(payload)) yield say(stream, line);
      } else if (type === FrameType.exit) {
        for (const stream of ["stdout", "stderr"] as const)
          for (const line of cutters[stream].rest()) yield say(stream, line);
        const exit = JSON.parse(new TextDecoder().decode(payload)) as ProcessExit;
        if (exit.code === SIGKILL_CODE) await instance.checkMemory();
        return yield { exec_id, exit_code: exit.code, done: true };
      }
    }
    throw new AegisError("guest_unreachable", "The instance ended before the command did.");
  } finally {
    signal.removeEventListener("abort", onAbort);
    session.close();
    release();
  }
}

async function sendInput(
  session: { send: (type: FrameType, payload?: Uint8Array) => Promise<void> },
  input: string,
): Promise<void> {
  const bytes = Buffer.from(input);
  const CHUNK = 64 * 1024;
  for (let at = 0; at < bytes.length; at += CHUNK) await session.send(FrameType.stdin, bytes.subarray(at, at + CHUNK));
  await session.send(FrameType.stdinEnd);
}
