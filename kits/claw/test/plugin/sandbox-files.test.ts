import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";
import { expect, onTestFinished, test } from "vitest";
import { encodeFrame, encodeTextFrame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { FileHelpers } from "../../guest/plugin/file-helper.ts";
import { type FileAnswer, FileAnswers, type FileRequest } from "../../guest/plugin/file-request.ts";
import { FILE_IDENTITY, type FilesBridge, quickFiles } from "../../guest/plugin/sandbox-files.ts";

interface Host {
  url: string;
  /** commands that it was asked for */
  commands: string[][];
  /** processes of those that run */
  running: Set<ChildProcessWithoutNullStreams>;
}

type Serves = (socket: WebSocket, command: string[], host: Host) => void;

/** A Guest API that runs what it is asked for here, or does as it is told. */
async function hostThat(serves: Serves = runs): Promise<Host> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const host: Host = { url, commands: [], running: new Set() };
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on("connection", (socket) => {
    socket.once("message", (request: Buffer) => {
      const { command } = JSON.parse(request.toString()) as { command: string[] };
      host.commands.push(command);
      socket.send(JSON.stringify({ exec_id: "e", started_at: "now" }));
      serves(socket, command, host);
    });
  });
  return host;
}

/** As the harness does. */
const runs: Serves = (socket, [program = "", ...words], { running }) => {
  const child = spawn(program, words, { env: { PATH: "/usr/bin:/bin" } });
  running.add(child);
  const decoder = new FrameDecoder();
  socket.on("message", (data: Buffer) => {
    for (const { type, payload } of decoder.push(data))
      if (type === FrameType.stdin) child.stdin.write(payload);
      else if (type === FrameType.stdinEnd) child.stdin.end();
  });
  child.stdin.on("error", () => undefined);
  child.stdout.on("data", (bytes: Buffer) => {
    // cut as it may be on the way
    for (let start = 0; start < bytes.length; start += 40_000)
      socket.send(encodeFrame(FrameType.stdout, bytes.subarray(start, start + 40_000)));
  });
  child.stderr.pipe(process.stderr);
  child.on("close", (code) => {
    running.delete(child);
    socket.send(encodeTextFrame(FrameType.exit, JSON.stringify({ code, signal: null })));
  });
  socket.on("close", () => void child.kill("SIGKILL"));
};

/** How many processes there were to ask. One that takes its time is woken, by a command of another name. */
const helpersOf = ({ commands }: Host): number => commands.filter(([program]) => program === "python3").length;

/** @returns a workspace, and what asks a real process about its files */
async function fixture(serves?: Serves) {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "claw-files-")));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const workspace = join(root, "workspace");
  mkdirSync(workspace);
  writeFileSync(join(root, "secret"), "secret");
  const host = await hostThat(serves);
  const helpers = new FileHelpers(host.url, workspace);
  const ask = async (
    what: FileRequest["what"],
    path: string,
    more: Partial<FileRequest> = {},
    signal?: AbortSignal,
  ) => {
    const { how, content } = await helpers.ask(
      "inst-1",
      { what, path: join(workspace, path), others: [], ...more },
      signal,
    );
    return how === "ok" ? content.toString() : how;
  };
  return { root, workspace, host, helpers, ask };
}

test("one process answers everything that is plain: look, read, write, list, make folders", async () => {
  const { workspace, host, ask } = await fixture();
  expect(await ask("write", "a/b/file", { content: Buffer.from("one") })).toBe("");
  expect(readFileSync(join(workspace, "a/b/file"), "utf8")).toBe("one");
  expect(statSync(join(workspace, "a/b/file")).mode & 0o777).toBe(0o600);
  chmodSync(join(workspace, "a/b/file"), 0o755);
  const many = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at % 127) + 1));
  expect(await ask("write here", "a/b/file", { content: many })).toBe("");
  expect(statSync(join(workspace, "a/b/file")).mode & 0o777).toBe(0o755);
  expect(await ask("read", "a/b/file")).toBe(many.toString());
  expect(await ask("stat", "a/b/file")).toBe(
    `file 300000 ${Math.floor(statSync(join(workspace, "a/b/file")).mtimeMs)}`,
  );
  expect(await ask("stat", "a")).toMatch(/^directory \d+ \d+$/);
  expect(await ask("stat", "a/none")).toBe("absent");
  expect(await ask("mkdir", "a/c/d ä")).toBe("");
  expect((await ask("list", "a")).split("\0").toSorted()).toEqual(["", "db", "dc"]);
  expect(await ask("list", "a/b")).toBe("ffile\0");
  symlinkSync("a/b", join(workspace, "link"));
  expect(await ask("identify", "link/none")).toBe(join(workspace, "a/b/none"));
  expect(await ask("read", "link/file")).toBe(many.toString());
  // nothing is left of what it wrote beside the files
  expect(readdirSync(join(workspace, "a/b"))).toEqual(["file"]);
  expect(helpersOf(host)).toBe(1);
});

test("what is not plain is declined, and nothing of it is done", async () => {
  const { root, workspace, ask } = await fixture();
  mkdirSync(join(workspace, "skills"));
  writeFileSync(join(workspace, "skills/one"), "1");
  writeFileSync(join(workspace, "large"), Buffer.alloc(4 * 1024 * 1024 + 1));
  writeFileSync(join(workspace, "hard"), "hard");
  linkSync(join(workspace, "hard"), join(workspace, "other"));
  symlinkSync("..", join(workspace, "out"));
  symlinkSync("skills", join(workspace, "in"));
  symlinkSync("hard", join(workspace, "soft"));
  symlinkSync("nowhere", join(workspace, "dangling"));
  symlinkSync("loop", join(workspace, "loop"));
  const content = Buffer.from("x");
  for (const path of ["../secret", "out/secret", "out", "../workspace-2/file", "loop"])
    for (const what of ["identify", "stat", "read", "list", "mkdir"] as const)
      expect([path, what, await ask(what, path)]).toEqual([path, what, "declined"]);
  for (const path of ["../secret", "out/secret", "../workspace-2/file", "loop/file"])
    expect([path, await ask("write", path, { content })]).toEqual([path, "declined"]);
  for (const what of ["identify", "stat", "read", "list", "mkdir"] as const)
    expect(await ask(what, "dangling")).toBe("declined");
  for (const path of ["hard", "soft"]) expect(await ask("stat", path)).toBe("declined");
  for (const path of ["hard", "soft", "large", ".", "skills"]) expect(await ask("read", path)).toBe("declined");
  for (const path of ["hard", ".", "skills"]) expect(await ask("write", path, { content })).toBe("declined");
  for (const path of ["skills/one", "skills/two", "skills", "in/one"])
    for (const what of ["stat", "read", "write", "list", "mkdir", "identify"] as const)
      expect(await ask(what, path, { content, others: [join(workspace, "skills")] })).toBe("declined");
  expect(await ask("write here", "none/file", { content })).toBe("declined");
  expect(await ask("write", "hard/file", { content })).toBe("declined");
  expect(await ask("read", "none")).toBe("declined");
  for (const what of ["identify", "write", "mkdir"] as const)
    expect(await ask(what, "none/../../outside", { content })).toBe("declined");
  expect(readdirSync(root).toSorted()).toEqual(["secret", "workspace"]);
  expect(readFileSync(join(root, "secret"), "utf8")).toBe("secret");
  expect(readFileSync(join(workspace, "other"), "utf8")).toBe("hard");
  expect(readdirSync(join(workspace, "skills"))).toEqual(["one"]);
});

test("the process ends when nobody has asked for two seconds, and the next question has another", async () => {
  const { host, ask } = await fixture();
  await ask("stat", "a");
  const [child] = host.running;
  expect(child).toBeDefined();
  if (child !== undefined) await once(child, "close");
  expect(await ask("stat", "a")).toBe("absent");
  expect(helpersOf(host)).toBe(2);
});

test("a sandbox that was paused meanwhile is woken by an exec, and then answers", async () => {
  const { host, ask } = await fixture((socket, command, at) => {
    if (command[0] === "true") for (const child of at.running) child.kill("SIGCONT");
    runs(socket, command, at);
  });
  await ask("stat", "a");
  for (const child of host.running) child.kill("SIGSTOP");
  expect(await ask("write", "a", { content: Buffer.from("woken") })).toBe("");
  expect(await ask("read", "a")).toBe("woken");
  expect(host.commands.at(-1)).toEqual(["true"]);
  expect(helpersOf(host)).toBe(1);
});

test("a refusal, a cut, an abort and what is no answer fail the question, and the next one has another process", async () => {
  const answers: Serves[] = [
    (socket) => socket.send(JSON.stringify({ error: "inst-1 is stopped", code: "wrong_state" })),
    (socket) => socket.terminate(),
    (socket) => socket.send(encodeTextFrame(FrameType.stdout, "1 ok 99999999\n")),
    (socket) => socket.send(encodeTextFrame(FrameType.stdout, "x".repeat(64))),
    (socket) => socket.send(encodeTextFrame(FrameType.exit, JSON.stringify({ code: 127, signal: null }))),
    () => ending.abort(new Error("enough")),
    runs,
  ];
  const ending = new AbortController();
  const { ask } = await fixture(
    (socket, command, at) => command[0] === "python3" && answers.shift()?.(socket, command, at),
  );
  for (const why of ["inst-1 is stopped", "cut off", "no answer", "no answer", "cut off", "enough"])
    await expect(ask("stat", "a", {}, ending.signal)).rejects.toThrow(why);
  await expect(ask("stat", "a", {}, ending.signal)).rejects.toThrow("enough");
});

test("answers are taken apart however they were cut", () => {
  const bytes = Buffer.from("1 ok 3\nab\n2 absent 0\n3 declined 0\n4 ok 0\n");
  for (const size of [1, 2, 3, 7, 100]) {
    const answers = new FileAnswers();
    const told = [];
    for (let start = 0; start < bytes.length; start += size)
      told.push(...answers.push(bytes.subarray(start, start + size)));
    expect(told.map(({ number, how, content }) => `${number} ${how} ${String(content)}`)).toEqual([
      "1 ok ab\n",
      "2 absent ",
      "3 declined ",
      "4 ok ",
    ]);
  }
});

/** @returns a bridge whose own way is told of, and what the process answers */
function bridged(answer: FileAnswer | null | Error) {
  const ownWay: string[] = [];
  const own =
    (name: string) =>
    ({ filePath }: { filePath: string }) => {
      ownWay.push(`${name} ${filePath}`);
      return Promise.resolve(name as never);
    };
  class Own {
    readonly pathMappings = [{ containerRoot: "/workspace" }, { containerRoot: "/workspace/kept" }];
    readonly remove = own("remove");
    readonly readFile = own("readFile");
    readonly readDirectory = own("readDirectory");
    readonly writeFile = own("writeFile");
    readonly mkdirp = own("mkdirp");
    readonly stat = own("stat");
    readonly [FILE_IDENTITY] = own("identity");

    resolvePath({ filePath }: { filePath: string }) {
      if (filePath.startsWith("..")) throw new Error(`${filePath} escapes`);
      return { containerPath: join("/workspace", filePath) };
    }
  }
  const asked: FileRequest[] = [];
  const files = quickFiles(new Own(), "/workspace", (request) => {
    asked.push(request);
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
  return { files: files as FilesBridge & Pick<Own, "remove">, ownWay, asked };
}

const ok = (text: string): FileAnswer => ({ how: "ok", content: Buffer.from(text) });
const told = (how: "absent" | "declined"): FileAnswer => ({ how, content: Buffer.alloc(0) });
const file = { filePath: "file" };

test("OpenClaw's tools get what the process answers, and its own way has no part in it", async () => {
  const read = bridged(ok("text"));
  expect(String(await read.files.readFile(file))).toBe("text");
  const others = ["skills", ".agents", ".openclaw", "media/inbound", "kept"].map((name) => `/workspace/${name}`);
  expect(read.asked).toEqual([{ what: "read", path: "/workspace/file", others }]);
  expect(await bridged(ok("file 3 17")).files.stat(file)).toEqual({ type: "file", size: 3, mtimeMs: 17 });
  expect(await bridged(told("absent")).files.stat(file)).toBeNull();
  expect(await bridged(ok("/workspace/to")).files[FILE_IDENTITY](file)).toBe("/workspace/to");
  expect(await bridged(ok("da\0ff\0")).files.readDirectory(file)).toEqual([
    { name: "a", isDirectory: true },
    { name: "f", isDirectory: false },
  ]);
  const write = bridged(ok(""));
  await write.files.writeFile({ ...file, data: "ä" });
  await write.files.writeFile({ ...file, data: "ff", encoding: "hex", mkdir: false });
  await write.files.mkdirp(file);
  expect(write.asked.map(({ what, content }) => [what, content])).toEqual([
    ["write", Buffer.from("ä")],
    ["write here", Buffer.from([255])],
    ["mkdir", undefined],
  ]);
  expect([read.ownWay, write.ownWay]).toEqual([[], []]);
});

test("everything else goes OpenClaw's own way: what is declined, unanswered or no answer, and what has been looked up before", async () => {
  const all = ["identity", "stat", "readDirectory", "readFile", "mkdirp", "writeFile"].map((name) => `${name} file`);
  for (const answer of [told("declined"), null, new Error("cut off")]) {
    const { files, ownWay } = bridged(answer);
    for (const ask of [files[FILE_IDENTITY], files.stat, files.readDirectory, files.readFile, files.mkdirp])
      await ask(file);
    await files.writeFile({ ...file, data: "x" });
    expect(ownWay).toEqual(all);
  }
  const { files, ownWay, asked } = bridged(ok("nonsense"));
  await files.stat(file);
  await files.readFile({ ...file, maxBytes: 3 });
  await files.mkdirp({ ...file, pinnedPath: "/workspace/file" });
  await files.writeFile({ ...file, data: "x", pinnedPath: "/workspace/file" });
  await files.writeFile({ ...file, data: Buffer.alloc(4 * 1024 * 1024 + 1) });
  for (const filePath of ["../out", "/../elsewhere", "a\0b"]) await files.readFile({ filePath });
  await files.remove(file);
  expect(ownWay.splice(0)).toEqual([
    "stat file",
    "readFile file",
    "mkdirp file",
    "writeFile file",
    "writeFile file",
    "readFile ../out",
    "readFile /../elsewhere",
    "readFile a\0b",
    "remove file",
  ]);
  expect(asked.map(({ what }) => what)).toEqual(["stat"]);
});

test("what was aborted is not done OpenClaw's way instead", async () => {
  const { files, ownWay } = bridged(new Error("enough"));
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(files.writeFile({ ...file, data: "x", signal })).rejects.toThrow("enough");
  expect(ownWay).toEqual([]);
});
