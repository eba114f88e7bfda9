import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { duplexOf } from "@aegis/protocol/mux/duplex-handlers";
import { MuxGuestEnd } from "@aegis/protocol/mux/guest-end";
import { MAX_STREAMS } from "@aegis/protocol/mux/session";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SerialChannel } from "../../../src/drivers/microvm/serial-channel.ts";
import { temporaryFolder } from "../../temporary-folder.ts";

let path: string;
let server: Server;
let guest: MuxGuestEnd;
/** of the host that came last */
let port: Socket | null;
const channels: SerialChannel[] = [];

/** As QEMU does: one host at a time; nothing is read while the machine is paused. */
let isPaused = false;

function pump(): void {
  for (let bytes = guest.peek(); bytes !== null && port !== null; bytes = guest.peek()) {
    port.write(bytes);
    guest.took(bytes.length);
  }
}

beforeEach(async () => {
  path = join(temporaryFolder(), "port.sock");
  isPaused = false;
  port = null;
  guest = new MuxGuestEnd({
    opened: (stream) => {
      const duplex = duplexOf(stream, (handlers) => new Duplex(handlers)).on("error", () => undefined);
      duplex.pipe(duplex);
    },
    wake: () => queueMicrotask(pump),
  });
  server = createServer((socket) => {
    port = socket;
    socket.on("data", (chunk) => guest.receive(chunk)).on("error", () => socket.destroy());
    if (isPaused) socket.pause();
  });
  server.listen(path);
  await once(server, "listening");
});
afterEach(() => {
  for (const channel of channels.splice(0)) channel.close();
  server.close();
});

async function connected(): Promise<SerialChannel> {
  const channel = await SerialChannel.connect(path);
  channels.push(channel);
  return channel;
}

async function readAll(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test("streams go there and back, also through the channel of the next daemon", async () => {
  const first = await connected();
  const kept = first.dial();
  const lost = once(kept, "close").catch((error: unknown) => error);
  const echoes = ["a", "b".repeat(1_000_000), ""].map((text) => {
    const stream = first.dial();
    stream.end(text);
    return readAll(stream);
  });
  expect((await Promise.all(echoes)).map(({ length }) => length)).toEqual([1, 1_000_000, 0]);
  first.close();
  await lost;
  expect(kept.errored).toMatchObject({ code: "ECONNRESET" });
  expect((await first.closed).code).toBe("guest_unreachable");
  expect(() => first.dial()).toThrow("The instance does not answer");
  const second = (await connected()).dial();
  second.end("again");
  expect(await readAll(second)).toBe("again");
});

test("what is written to a paused machine is delivered when it goes on", async () => {
  isPaused = true;
  const channel = await connected();
  const stream = channel.dial();
  stream.end("x".repeat(3_000_000));
  const text = readAll(stream);
  await expect.poll(() => port).not.toBeNull();
  port?.resume();
  expect(await text).toHaveLength(3_000_000);
});

test("there is an end to the streams that wait for a paused machine", async () => {
  isPaused = true;
  const channel = await connected();
  for (let i = 0; i < MAX_STREAMS; i++) channel.dial();
  expect(() => channel.dial()).toThrow("as many streams as there may be");
});

test("a guest that breaks the protocol, and one that is gone, close the channel", async () => {
  const broken = await connected();
  const stream = broken.dial();
  stream.end("x");
  await readAll(stream);
  port?.write(Buffer.alloc(8, 77));
  expect((await broken.closed).message).toContain("does not keep to the protocol");
  const before = port;
  const gone = await connected();
  await expect.poll(() => port).not.toBe(before);
  port?.destroy();
  expect((await gone.closed).message).toContain("virtual machine is gone");
});

test("nobody there, and a caller who gave up", async () => {
  await expect(SerialChannel.connect(`${path}.none`)).rejects.toMatchObject({ code: "guest_unreachable" });
  await expect(SerialChannel.connect(path, AbortSignal.abort())).rejects.toThrow("aborted");
  const channel = await connected();
  expect(() => channel.dial(AbortSignal.abort())).toThrow("aborted");
});
