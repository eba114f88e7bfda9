import { EventEmitter } from "node:events";
import { encodeTextFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { FakeDaemon, type FakeSocket } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, expect, it } from "vitest";
import { aegis } from "./run-in-test.ts";

let daemon: FakeDaemon;
let frames: [FrameType, string][];
beforeEach(async () => {
  frames = [];
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon.close());

/** Opens, notes each frame, and answers it as the test likes. */
function serve(answer: (socket: FakeSocket, type: FrameType, text: string) => void): void {
  daemon.onExec = (socket) => {
    socket.send(JSON.stringify({ exec_id: "e", started_at: "now" }));
    socket.on("message", (data: Buffer) => {
      for (const { type, payload } of new FrameDecoder().push(new Uint8Array(data))) {
        const text = new TextDecoder().decode(payload);
        frames.push([type, text]);
        answer(socket, type, text);
      }
    });
  };
}
const exit = (socket: FakeSocket, code: number) =>
  socket.send(encodeTextFrame(FrameType.exit, JSON.stringify({ code, signal: null })));

it("ends the input at once without -i, and exits as the command does", async () => {
  serve((socket) => {
    socket.send(encodeTextFrame(FrameType.stdout, "no line break"));
    socket.send(encodeTextFrame(FrameType.stderr, "oh\n"));
    exit(socket, 42);
  });
  const outcome = await aegis("exec web -- sh -c x", { home: daemon.home, stdin: "unread" });
  expect(outcome).toEqual({ code: 42, stdout: "no line break", stderr: "oh\n" });
  expect(frames).toEqual([[FrameType.stdinEnd, ""]]);
});

it("forwards stdin with -i, to its end", async () => {
  serve((socket, type) => type === FrameType.stdinEnd && exit(socket, 0));
  expect((await aegis("exec -i web -- cat", { home: daemon.home, stdin: "héllo" })).code).toBe(0);
  expect(frames).toEqual([
    [FrameType.stdin, "héllo"],
    [FrameType.stdinEnd, ""],
  ]);
});

it("passes Ctrl-C on, and gives up at the second", async () => {
  const signals = new EventEmitter();
  serve((_socket, type) => type !== FrameType.resize && signals.emit("SIGINT"));
  expect((await aegis("exec web -- sleep 9", { home: daemon.home, signals })).code).toBe(130);
  expect(frames.slice(0, 2)).toEqual([
    [FrameType.stdinEnd, ""],
    [FrameType.signal, "SIGINT"],
  ]);
  expect(signals.eventNames()).toEqual([]);
});

it("tells the terminal's size at first and when it changes", async () => {
  const signals = new EventEmitter();
  let asked: unknown;
  daemon.onExec = (socket, request) => {
    asked = request;
    socket.send(JSON.stringify({ exec_id: "e", started_at: "now" }));
    socket.on("message", (data: Buffer) => {
      const [frame] = new FrameDecoder().push(new Uint8Array(data));
      if (frame?.type === FrameType.stdinEnd) signals.emit("SIGWINCH");
      if (frame?.type === FrameType.resize) exit(socket, 0);
    });
  };
  await aegis("exec -t web -- top", { home: daemon.home, tty: true, signals });
  expect(asked).toEqual({ command: ["top"], tty: true, cols: 100, rows: 30 });
});

it("refuses a terminal where there is none", async () => {
  const { code, stderr } = await aegis("exec -it web -- sh", { home: daemon.home });
  expect(code).toBe(1);
  expect(stderr).toContain("leave out -t");
});

it("is NDJSON with --json", async () => {
  const lines = [
    { exec_id: "e", started_at: "now" },
    { exec_id: "e", stream: "stdout", line: "hi", ts: "t" },
    { exec_id: "e", exit_code: 4, done: true },
  ];
  daemon.routes["POST /v1/instances/web/exec"] = () => ({ lines });
  const { code, stdout } = await aegis("exec --json --env A=b --cwd /tmp web -- echo hi", { home: daemon.home });
  expect(code).toBe(4);
  expect(
    stdout
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text) as unknown),
  ).toEqual(lines);
  expect(daemon.calls[0]?.body).toEqual({ command: ["echo", "hi"], env: { A: "b" }, cwd: "/tmp" });
});
