import { once } from "node:events";
import type { AegisClient } from "@aegis/sdk/client";
import type { ExecSession, ExecSessionRequest } from "@aegis/sdk/exec-session";
import type { CliContext, OutputStream } from "../cli.ts";
import { forwardInput } from "./forward-input.ts";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const INTERRUPTED_EXIT_CODE = 130;

/**
 * Runs a command in an instance with this terminal as its own: output, input if asked for, signals and window size.
 * A second Ctrl-C gives up on it.
 * @returns the command's exit code
 */
export async function runAttached(
  context: CliContext,
  client: AegisClient,
  name: string,
  request: ExecSessionRequest,
  input: boolean,
): Promise<number> {
  const size = windowSize(context.stdout);
  const session = await client.instances.execInteractive(name, request.tty && size ? { ...request, size } : request);
  const given = new AbortController();
  const undo = [
    forwardSignals(context, session, given),
    ...(request.tty ? [forwardResize(context, session)] : []),
    ...(input ? [forwardInput(context.stdin, session, request.tty === true)] : []),
  ];
  if (!input) await session.endInput();
  try {
    return await copyOutput(context, session);
  } catch (error) {
    if (given.signal.aborted) return INTERRUPTED_EXIT_CODE;
    throw error;
  } finally {
    for (const restore of undo) restore();
  }
}

async function copyOutput(context: CliContext, session: ExecSession): Promise<number> {
  for await (const output of session.output()) {
    switch (output.kind) {
      case "stdout":
        await write(context.stdout, output.bytes);
        break;
      case "stderr":
        await write(context.stderr, output.bytes);
        break;
      case "exit":
        return output.exit.code;
    }
  }
  return 1;
}

async function write(stream: OutputStream, bytes: Uint8Array): Promise<void> {
  if (!stream.write(bytes)) await once(stream, "drain");
}

function forwardSignals(context: CliContext, session: ExecSession, given: AbortController): () => void {
  let interrupts = 0;
  const handlers = FORWARDED.map((name) => {
    const handler = () => {
      if (name === "SIGINT") interrupts += 1;
      if (interrupts < 2) return void session.signal(name);
      given.abort();
      session.close();
    };
    context.signals.on(name, handler);
    return () => context.signals.off(name, handler);
  });
  return () => handlers.forEach((off) => off());
}

function forwardResize(context: CliContext, session: ExecSession): () => void {
  const handler = () => {
    const size = windowSize(context.stdout);
    if (size) void session.resize(size);
  };
  context.signals.on("SIGWINCH", handler);
  return () => context.signals.off("SIGWINCH", handler);
}

const windowSize = (stream: OutputStream) =>
  stream.columns && stream.rows ? { cols: stream.columns, rows: stream.rows } : undefined;
