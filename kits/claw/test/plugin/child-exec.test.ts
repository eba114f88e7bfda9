import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";
import { expect, onTestFinished, test } from "vitest";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { runInChild } from "../../guest/plugin/child-exec.ts";
import { SentFiles } from "../../guest/plugin/sent-files.ts";
import { sandboxSession } from "../../guest/plugin/sandbox-session.ts";

interface Asked {
  path: string;
  request: { command: string[] };
  input: Buffer;
}

/** A Guest API that has one command for everybody. */
async function hostThat(answers: (socket: WebSocket, asked: Asked) => void): Promise<string> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on("connection", (socket, { url = "" }) => {
    const asked: Asked = { path: url, request: { command: [] }, input: Buffer.alloc(0) };
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (!isBinary) {
        asked.request = JSON.parse(data.toString()) as Asked["request"];
        socket.send(JSON.stringify({ exec_id: "e", started_at: "now" }));
        return;
      }
      // each message has to be whole frames
      for (const { type, payload } of new FrameDecoder().push(data)) {
        if (type === FrameType.stdin) asked.input = Buffer.concat([asked.input, payload]);
        if (type === FrameType.stdinEnd) answers(socket, asked);
      }
    });
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const sessionIn = (
  guestApi: string,
  botWorkspace: string,
  assertCurrent: () => void = () => undefined,
  wake: () => Promise<string> = () => Promise.resolve("inst-1"),
) =>
  sandboxSession({
    guestApi,
    id: "inst-1",
    assertCurrent,
    wake,
    botWorkspace,
    workdir: "/workspace",
    sentFiles: new SentFiles(),
  });

const exit = (code: number) => encodeTextFrame(FrameType.exit, JSON.stringify({ code, signal: null }));
const job = { command: ["true"], maxBytes: 1000 };

test("input and output are bytes, however they are cut", async () => {
  const input = Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 256));
  const host = await hostThat((socket, { input: got, request, path }) => {
    const frames = Buffer.concat([
      encodeFrame(FrameType.stdout, got.subarray(0, 300)),
      encodeTextFrame(FrameType.stderr, `${path} ${request.command.join(" ")} ${got.length}`),
      exit(7),
    ]);
    for (let start = 0; start < frames.length; start += 100) socket.send(frames.subarray(start, start + 100));
  });
  const ended = await runInChild(host, "inst-1", { command: ["cat", "-"], input, maxBytes: 1000 });
  expect(ended.code).toBe(7);
  expect(ended.stdout).toEqual(input.subarray(0, 300));
  expect(ended.stderr.toString()).toBe("/v1/instances/inst-1/exec cat - 200000");
});

test("a refusal is told as it was said; a cut, an abort and too much output end it", async () => {
  const refused = { error: "inst-1 is stopped", code: "wrong_state" };
  await expect(
    runInChild(await hostThat((socket) => socket.send(JSON.stringify(refused))), "inst-1", job),
  ).rejects.toMatchObject({ message: refused.error, code: refused.code });
  const cut = await hostThat((socket) => socket.close());
  await expect(runInChild(cut, "inst-1", job)).rejects.toThrow("was cut off");
  await expect(runInChild("http://127.0.0.2:1", "inst-1", job)).rejects.toThrow("was cut off");
  const talkative = await hostThat((socket) => socket.send(encodeFrame(FrameType.stdout, Buffer.alloc(1001))));
  await expect(runInChild(talkative, "inst-1", job)).rejects.toThrow("more than 1000 bytes");
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const ending = new AbortController();
  const endless = await hostThat((socket) => {
    socket.on("close", () => resolve());
    ending.abort(new Error("enough"));
  });
  await expect(runInChild(endless, "inst-1", { ...job, signal: ending.signal })).rejects.toThrow("enough");
  await closed;
});

test("a command around a call runs at once, the call's own has a local process; both only while the sandbox is current", async () => {
  const host = await hostThat((socket, { request, input }) => {
    socket.send(encodeTextFrame(FrameType.stdout, `${request.command.join("|")} ${String(input)}`));
    socket.send(exit(3));
  });
  let current = true;
  const assertCurrent = () => {
    if (!current) throw new Error("given up");
  };
  const session = sessionIn(host, "/nowhere", assertCurrent);
  const ended = await session.runCommand({ remoteCommand: "'cat' '-'", stdin: "in", allowFailure: true });
  expect([ended.code, ended.stdout.toString()]).toEqual([3, "/bin/sh|-c|exec 'cat' '-' in"]);
  await expect(session.runCommand({ remoteCommand: "false" })).rejects.toMatchObject({ code: 3 });
  const { argv, env } = await session.prepareExec({ remoteCommand: "'echo' 'a b'", env: { LANG: "C" } });
  const [program, script, ...words] = argv;
  expect([program, script?.split("/").at(-1)]).toEqual(["perl", "run-in-child.pl"]);
  const command = ["/bin/sh", "-c", "exec 'echo' 'a b'"];
  expect(words).toEqual([host.replace("http://", ""), "inst-1", "LANG=C", "--", ...command]);
  // nothing of the gateway's own, which may hold a key
  expect(Object.keys(env)).toEqual(["PATH"]);
  current = false;
  await expect(session.runCommand({ remoteCommand: "true" })).rejects.toThrow("given up");
});

test("one that is down is woken when it refuses a command, and before the call's own", async () => {
  let up = false;
  const host = await hostThat((socket) => {
    if (up) socket.send(exit(0));
    else socket.send(JSON.stringify({ error: "inst-1 is stopped", code: "wrong_state" }));
  });
  let woken = 0;
  const session = sessionIn(host, "/nowhere", undefined, () => {
    woken += 1;
    if (woken > 2) throw new Error("it was deleted");
    up = true;
    return Promise.resolve("inst-1");
  });
  expect(await session.runCommand({ remoteCommand: "true" })).toMatchObject({ code: 0 });
  await session.runCommand({ remoteCommand: "true" });
  expect(woken).toBe(1);
  await session.prepareExec({ remoteCommand: "true", env: {} });
  expect(woken).toBe(2);
  up = false;
  await expect(session.runCommand({ remoteCommand: "true" })).rejects.toThrow("it was deleted");
});

test("files that a person has sent are brought when a command names their folder, once, and no others", async () => {
  const bot = mkdtempSync(join(tmpdir(), "claw-sent-"));
  onTestFinished(() => rmSync(bot, { recursive: true }));
  const folders = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"].map(
    (id) => `media/inbound/openclaw-staged-${id}`,
  );
  for (const folder of folders) {
    mkdirSync(join(bot, folder), { recursive: true });
    writeFileSync(join(bot, folder, "input-data.csv"), `n\n${folder.at(-1)}\n`);
    writeFileSync(join(bot, folder, ".gitignore"), "*");
  }
  symlinkSync("/etc/passwd", join(bot, folders[0] ?? "", "input-link"));
  const ran: string[] = [];
  let code = 1;
  const host = await hostThat((socket, { request, input }) => {
    ran.push(`${request.command.slice(-3).join(" ")} < ${String(input)}`);
    socket.send(exit(code));
  });
  const session = sessionIn(host, bot);
  const named = { remoteCommand: `'cat' '${folders[0]}/input-data.csv'`, allowFailure: true };
  await expect(session.runCommand(named)).rejects.toThrow("input-data.csv, which was sent, cannot be put");
  code = 0;
  ran.length = 0;
  await session.runCommand(named);
  await session.prepareExec({ ...named, env: {} });
  await session.prepareExec({ remoteCommand: "cat media/inbound/openclaw-staged-../../x media/inbound/*/*", env: {} });
  const to = `/workspace/${folders[0]}`;
  expect(ran).toEqual([`put ${to} input-data.csv < n\n1\n`, `/bin/sh -c exec ${named.remoteCommand} < `]);
});
