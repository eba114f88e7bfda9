import type { Duplex } from "node:stream";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType, type Frame } from "@aegis/protocol/exec-frame";
import type { FakeProcess, FakeProcessHost } from "./fake-process.ts";
import type { PauseGate } from "./pause-gate.ts";

/** Runs one exec on a stream whose header was read. @returns false when the command does not exist; nothing was sent */
export function serveFakeExec(
  stream: Duplex,
  gate: PauseGate,
  spawn: (write: FakeProcessHost["write"]) => FakeProcess | null,
): boolean {
  const early: Uint8Array[] = [];
  let send = (bytes: Uint8Array): void => void early.push(bytes);
  const process = spawn((name, text) =>
    send(encodeTextFrame(name === "stdout" ? FrameType.stdout : FrameType.stderr, text)),
  );
  if (process === null) return false;
  let sent = gate.pass();
  const queue = (bytes: Uint8Array | string): void => {
    sent = sent.then(() => gate.pass()).then(() => void stream.write(bytes));
  };
  queue(`${JSON.stringify({ ok: true, pid: process.pid })}\n`);
  early.forEach(queue);
  send = queue;
  const decoder = new FrameDecoder();
  stream.on("data", (chunk: Buffer) => decoder.push(chunk).forEach((frame) => feed(process, frame)));
  stream.once("close", () => process.signal("SIGKILL"));
  void process.exited.then((exit) => {
    queue(encodeFrame(FrameType.exit, new TextEncoder().encode(JSON.stringify(exit))));
    void sent.then(() => stream.end());
  });
  return true;
}

function feed(process: FakeProcess, frame: Frame): void {
  const text = new TextDecoder().decode(frame.payload);
  if (frame.type === FrameType.stdin) process.input(text);
  else if (frame.type === FrameType.stdinEnd) process.inputEnd();
  else if (frame.type === FrameType.signal) process.signal(text);
}
