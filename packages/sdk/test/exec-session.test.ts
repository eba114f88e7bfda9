import { AegisError } from "@aegis/protocol/errors";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { WebSocket } from "ws";
import type { ExecOutput, ExecSession } from "../src/exec-session.ts";
import { FakeDaemon } from "./fake-daemon.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon.close());

const opened = JSON.stringify({ exec_id: "e-1", started_at: "2026-01-01T00:00:00Z" });
const exit = (code: number) => encodeTextFrame(FrameType.exit, JSON.stringify({ code, signal: null }));

const onFrames = (socket: WebSocket, take: (type: FrameType, payload: Uint8Array) => void) =>
  socket.on("message", (data: Buffer) => {
    for (const { type, payload } of new FrameDecoder().push(new Uint8Array(data))) take(type, payload);
  });

async function outputs(session: ExecSession): Promise<ExecOutput[]> {
  const seen: ExecOutput[] = [];
  for await (const output of session.output()) seen.push(output);
  return seen;
}

it("asks with the request, the environment and the window in one JSON", async () => {
  let asked: unknown;
  daemon.onExec = (socket, request) => {
    asked = request;
    socket.send(opened);
    socket.send(exit(0));
  };
  const session = await daemon.client.instances.execInteractive("web", {
    command: ["sh", "-c", "ä & b"],
    tty: true,
    size: { cols: 99, rows: 33 },
  });
  expect(session.execId).toBe("e-1");
  await outputs(session);
  expect(asked).toEqual({ command: ["sh", "-c", "ä & b"], tty: true, cols: 99, rows: 33 });
});

it("carries bytes both ways, unchanged, and the exit last", async () => {
  const bytes = new Uint8Array(300_000).map((_, at) => (at * 7) % 256);
  daemon.onExec = (socket) => {
    socket.send(opened);
    onFrames(socket, (type, payload) => {
      if (type === FrameType.stdin) socket.send(encodeFrame(FrameType.stdout, payload));
      if (type === FrameType.stdinEnd) socket.send(exit(7));
    });
  };
  const session = await daemon.client.instances.execInteractive("web", { command: ["cat"] });
  void session.write(bytes).then(() => session.endInput());
  const seen = await outputs(session);
  const echoed = seen.flatMap((output) => (output.kind === "stdout" ? [output.bytes] : []));
  expect(Buffer.concat(echoed).equals(Buffer.from(bytes))).toBe(true);
  expect(seen.at(-1)).toEqual({ kind: "exit", exit: { code: 7, signal: null } });
});

it("sends resizes and signals", async () => {
  const frames: [FrameType, string][] = [];
  daemon.onExec = (socket) => {
    socket.send(opened);
    onFrames(socket, (type, payload) => {
      frames.push([type, new TextDecoder().decode(payload)]);
      if (type === FrameType.signal) socket.send(exit(130));
    });
  };
  const session = await daemon.client.instances.execInteractive("web", { command: ["top"] });
  await session.resize({ cols: 10, rows: 5 });
  await session.signal("SIGINT");
  await outputs(session);
  expect(frames).toEqual([
    [FrameType.resize, '{"cols":10,"rows":5}'],
    [FrameType.signal, "SIGINT"],
  ]);
});

it("throws what the daemon says instead of opening", async () => {
  const body = { error: "web is stopped.", code: "wrong_state" };
  daemon.onExec = (socket) => {
    socket.send(JSON.stringify(body));
    socket.close(1011);
  };
  const opening = daemon.client.instances.execInteractive("web", { command: ["ls"] });
  await expect(opening).rejects.toBeInstanceOf(AegisError);
  await expect(opening).rejects.toMatchObject({ message: body.error, code: body.code });
});

it("throws when the stream ends before the command does, also with an error in mid stream", async () => {
  daemon.onExec = (socket) => {
    socket.send(opened);
    socket.close();
  };
  const cut = await daemon.client.instances.execInteractive("web", { command: ["ls"] });
  await expect(outputs(cut)).rejects.toMatchObject({ code: "guest_unreachable" });
  daemon.onExec = (socket) => {
    socket.send(opened);
    socket.send(JSON.stringify({ error: "it ended", code: "guest_unreachable" }));
    socket.close(1011);
  };
  const failed = await daemon.client.instances.execInteractive("web", { command: ["ls"] });
  await expect(outputs(failed)).rejects.toMatchObject({ message: "it ended" });
});

it("reads what a peer that is already gone still said, however much is written to it", async () => {
  daemon.onExec = (socket) => {
    socket.send(opened);
    socket.send(encodeFrame(FrameType.stdout, new Uint8Array([1])));
    socket.send(exit(0));
    socket.close(1000);
  };
  const session = await daemon.client.instances.execInteractive("web", { command: ["true"] });
  await session.write(new Uint8Array(200_000));
  await session.endInput();
  expect((await outputs(session)).map(({ kind }) => kind)).toEqual(["stdout", "exit"]);
  await session.write(new Uint8Array(10));
});

it("says how to start a daemon when there is none", async () => {
  const { client } = daemon;
  await daemon.close();
  await expect(client.instances.execInteractive("web", { command: ["ls"] })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("aegis up"),
  });
  daemon = await FakeDaemon.start();
});
