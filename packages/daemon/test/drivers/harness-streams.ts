import type { Duplex } from "node:stream";
import {
  MAX_LINE_BYTES,
  type ExecHeader,
  type HarnessState,
  type ProcessExit,
  type RunParams,
  type StreamHeader,
  type StreamReply,
} from "@aegis/protocol/control";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { FirstLine } from "@aegis/protocol/first-line";
import type { Machine } from "../../src/core/driver.ts";

/** Opens a stream of a kind. Bytes behind the reply are still to be read from it. */
export async function openStream(
  machine: Machine,
  header: StreamHeader,
): Promise<{ stream: Duplex; reply: StreamReply }> {
  const stream = await machine.dial();
  stream.on("error", () => undefined);
  stream.write(`${JSON.stringify(header)}\n`);
  const { line, rest } = await readLine(stream);
  if (rest.length > 0) stream.unshift(Buffer.from(rest));
  return { stream, reply: JSON.parse(line) as StreamReply };
}

function readLine(stream: Duplex): Promise<{ line: string; rest: Uint8Array }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ line: string; rest: Uint8Array }>();
  const first = new FirstLine(MAX_LINE_BYTES);
  const take = (chunk: Buffer): void => {
    const found = first.push(chunk);
    if (found === null) return;
    stream.pause();
    stream.off("data", take);
    resolve(found);
  };
  stream.on("data", take);
  stream.resume();
  stream.once("close", () => reject(new Error("the stream closed before its reply")));
  return promise;
}

export interface ExecResult {
  stdout: string;
  stderr: string;
  exit: ProcessExit;
}

export interface ExecOptions {
  env?: Record<string, string>;
  stdin?: string;
}

let execs = 0;

/** Runs a command in the machine to its end. */
export async function execIn(machine: Machine, command: string[], options: ExecOptions = {}): Promise<ExecResult> {
  const env = { PATH: "/bin:/usr/bin", ...options.env };
  const header: ExecHeader = { exec_id: `test-${execs++}`, command, env, cwd: null, user: null, tty: null };
  const { stream, reply } = await openStream(machine, { kind: "exec", ...header });
  if (!reply.ok) throw new Error(`${reply.code}: ${reply.error}`);
  if (options.stdin !== undefined) stream.write(encodeTextFrame(FrameType.stdin, options.stdin));
  stream.write(encodeFrame(FrameType.stdinEnd));
  return collect(stream);
}

async function collect(stream: Duplex): Promise<ExecResult> {
  const decoder = new FrameDecoder();
  const texts = { stdout: "", stderr: "" };
  for await (const chunk of stream)
    for (const { type, payload } of decoder.push(chunk as Buffer)) {
      const text = new TextDecoder().decode(payload);
      if (type === FrameType.exit) return { ...texts, exit: JSON.parse(text) as ProcessExit };
      if (type === FrameType.stdout) texts.stdout += text;
      if (type === FrameType.stderr) texts.stderr += text;
    }
  throw new Error(`the stream ended without an exit; output so far: ${texts.stdout}${texts.stderr}`);
}

/** The control stream, with the few things that tests of a driver need of it. */
export interface ControlStream {
  harness: HarnessState | undefined;
  run(command: string[]): Promise<{ pid: number }>;
  shutdown(): Promise<void>;
  close(): void;
}

export async function openControl(machine: Machine): Promise<ControlStream> {
  const { stream, reply } = await openStream(machine, { kind: "control" });
  if (!reply.ok) throw new Error(reply.error);
  let last = 0;
  const call = async (method: string, params: unknown): Promise<unknown> => {
    const id = ++last;
    stream.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    for (;;) {
      const { line, rest } = await readLine(stream);
      if (rest.length > 0) stream.unshift(Buffer.from(rest));
      const message = JSON.parse(line) as { id?: number; result?: unknown; error?: { message: string } };
      if (message.id !== id) continue;
      if (message.error !== undefined) throw new Error(message.error.message);
      return message.result;
    }
  };
  const base: Omit<RunParams, "command"> = { env: {}, cwd: null, token: "test", bindings: [], guest_api_port: 7777 };
  return {
    harness: reply.harness,
    run: async (command) => (await call("run", { ...base, command })) as { pid: number },
    shutdown: async () => void (await call("shutdown", { grace_ms: 100 })),
    close: () => void stream.destroy(),
  };
}
