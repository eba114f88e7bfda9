import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { ExecHeader, ProcessExit, RunParams, StreamHeader, StreamReply } from "@aegis/protocol/control";
import { encodeFrame, encodeTextFrame, type Frame, FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { FirstLine } from "@aegis/protocol/first-line";
import { LineSplitter } from "@aegis/protocol/line-splitter";
import { DeviceHost } from "./device-host.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const BUN = fileURLToPath(new URL("../../../node_modules/.bin/bun", import.meta.url));
const MAX_LINE_BYTES = 4 * 1024 * 1024;

/** A real harness on this machine, without a container around it, and the host's side of its socket or device. */
export class TestHarness {
  /** what the harnesses of a test file are reached by */
  static channel: "socket" | "device" = "socket";
  readonly folder: string;
  readonly guestSocket: string;
  readonly process: ChildProcess;
  readonly #sockets = new Set<Duplex>();
  readonly #device: DeviceHost | null;

  private constructor(folder: string, process: ChildProcess, device: DeviceHost | null) {
    this.#device = device;
    this.folder = folder;
    this.guestSocket = join(folder, "run/guestd.sock");
    this.process = process;
  }

  /** @param program the harness's program and what comes before its own arguments */
  static async start(program: [string, ...string[]] = [BUN, "run", MAIN]): Promise<TestHarness> {
    const folder = mkdtempSync(join(tmpdir(), "aegis-harness-"));
    const [file, ...before] = program;
    const args = [...before, "harness", "--guest-socket", join(folder, "run/guestd.sock")];
    const start = (fd: number) => spawn(file, args, { stdio: ["ignore", "ignore", "inherit", fd] });
    if (TestHarness.channel === "device") {
      const device = await DeviceHost.start(folder, BUN);
      return new TestHarness(folder, device.lend(start), device);
    }
    const server = await listen(folder);
    const child = start(fdOf(server));
    server.close();
    return new TestHarness(folder, child, null);
  }

  /** A stream of which nothing has been said yet. */
  connect(): Duplex {
    const socket = this.#device?.dial() ?? connect({ path: join(this.folder, "control.sock"), allowHalfOpen: true });
    this.#sockets.add(socket);
    return socket.on("error", () => socket.destroy());
  }

  /** A stream behind its header and reply. */
  async dial(header: StreamHeader | string): Promise<{ socket: Duplex; reply: StreamReply }> {
    const socket = this.connect();
    socket.write(typeof header === "string" ? header : `${JSON.stringify(header)}\n`);
    return { socket, reply: JSON.parse(await readLine(socket)) };
  }

  async control(): Promise<TestControl> {
    const { socket, reply } = await this.dial({ kind: "control" });
    return new TestControl(socket, reply);
  }

  async exec(command: string[], header: Partial<ExecHeader> = {}): Promise<TestExec> {
    const full = { exec_id: "e1", command, env: {}, cwd: null, user: null, tty: null, ...header };
    const { socket, reply } = await this.dial({ kind: "exec", ...full });
    return new TestExec(socket, reply);
  }

  /** The host of a device goes away in the middle of everything. */
  killHost(): void {
    this.#device?.kill();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const gone = once(this.process, "exit");
      this.process.kill("SIGTERM");
      const force = setTimeout(() => this.process.kill("SIGKILL"), 5000);
      await gone;
      clearTimeout(force);
    }
    await this.#device?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Message {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: { code: number; message: string; data?: { code: string } };
}

/** The host's end of a control stream; remembers every message and lets a test wait for one. */
export class TestControl {
  readonly socket: Duplex;
  readonly reply: StreamReply;
  readonly messages: Message[] = [];
  readonly closed: Promise<unknown>;
  #nextId = 1;
  #arrived: (() => void)[] = [];

  constructor(socket: Duplex, reply: StreamReply) {
    this.socket = socket;
    this.reply = reply;
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    const lines = new LineSplitter(MAX_LINE_BYTES);
    socket.on("data", (chunk: Buffer) => {
      for (const line of lines.push(chunk)) this.messages.push(JSON.parse(line));
      this.#wake();
    });
    socket.on("end", () => socket.end());
    socket.resume();
  }

  async call(method: string, params: unknown): Promise<Message> {
    const id = this.#nextId++;
    this.socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    return this.until((message) => message.id === id);
  }

  notify(method: string, params: unknown): void {
    this.socket.write(`${JSON.stringify({ jsonrpc: "2.0", method, params })}\n`);
  }

  run(command: string[], params: Partial<RunParams> = {}): Promise<Message> {
    const base = { env: {}, cwd: null, token: "token-1", bindings: [] };
    return this.call("run", { command, ...base, ...params });
  }

  /** The first message, old or new, that fits. */
  async until(fits: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.messages.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#arrived.push(resolve));
    }
  }

  exited(): Promise<Message> {
    return this.until((message) => message.method === "processExited");
  }

  lines(stream = "stdout"): string[] {
    return this.messages
      .filter((message) => message.method === "log" && message.params?.["stream"] === stream)
      .map((message) => String(message.params?.["line"]));
  }

  #wake(): void {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const resolve of arrived) resolve();
  }
}

/** The host's end of an exec stream. */
export class TestExec {
  readonly socket: Duplex;
  readonly reply: StreamReply;
  readonly frames: Frame[] = [];
  readonly ended: Promise<unknown>;
  #arrived: (() => void)[] = [];

  constructor(socket: Duplex, reply: StreamReply) {
    this.socket = socket;
    this.reply = reply;
    const decoder = new FrameDecoder();
    this.ended = new Promise((resolve) => socket.once("end", resolve).once("close", resolve)).then(() => socket.end());
    socket.on("data", (chunk: Buffer) => {
      this.frames.push(...decoder.push(chunk));
      const arrived = this.#arrived;
      this.#arrived = [];
      for (const resolve of arrived) resolve();
    });
    socket.resume();
  }

  get pid(): number {
    return this.reply.ok ? (this.reply.pid ?? 0) : 0;
  }

  stdin(bytes: Uint8Array | string): void {
    this.socket.write(encodeFrame(FrameType.stdin, Buffer.from(bytes)));
  }

  end(): void {
    this.socket.write(encodeFrame(FrameType.stdinEnd));
  }

  signal(name: string): void {
    this.socket.write(encodeTextFrame(FrameType.signal, name));
  }

  resize(cols: number, rows: number): void {
    this.socket.write(encodeTextFrame(FrameType.resize, JSON.stringify({ cols, rows })));
  }

  output(type: FrameType = FrameType.stdout): Buffer {
    return Buffer.concat(this.frames.filter((frame) => frame.type === type).map((frame) => frame.payload));
  }

  async untilOutput(text: string): Promise<void> {
    while (!this.output().includes(text)) await new Promise<void>((resolve) => this.#arrived.push(resolve));
  }

  /** The exit frame, after checking that nothing follows it. */
  async exit(): Promise<ProcessExit> {
    await this.ended;
    const last = this.frames.at(-1);
    if (last?.type !== FrameType.exit) throw new Error("the stream ended without an exit frame");
    return JSON.parse(Buffer.from(last.payload).toString());
  }
}

/** First line of a socket; what follows stays in it, and it is paused. */
function readLine(socket: Duplex): Promise<string> {
  const first = new FirstLine(MAX_LINE_BYTES);
  return new Promise((resolve, reject) => {
    const take = (chunk: Buffer) => {
      const found = first.push(chunk);
      if (found === null) return;
      socket.pause();
      socket.off("data", take).off("close", gone);
      if (found.rest.length > 0) socket.unshift(found.rest);
      resolve(found.line);
    };
    const gone = () => reject(new Error("the stream closed without a line"));
    socket.on("data", take).on("close", gone);
  });
}

export async function readAll(socket: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a port");
  return address.port;
}

async function listen(folder: string): Promise<Server> {
  const server = createServer();
  const path = join(folder, "control.sock");
  server.listen(`${path}.new`);
  await once(server, "listening");
  renameSync(`${path}.new`, path); // so that closing the server leaves the socket's name in place
  return server;
}

function fdOf(server: Server): number {
  const handle: unknown = Reflect.get(server, "_handle");
  const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : null;
  if (typeof fd !== "number") throw new Error("the server has no file descriptor");
  return fd;
}
