import type { Duplex } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeCredit, encodeMuxFrame, MAX_MUX_FRAME_BYTES, MuxError, MuxFrameType } from "../../src/mux/frame.ts";
import { MuxHostEnd } from "../../src/mux/host-end.ts";
import { answerTo } from "../../src/mux/resync.ts";
import { MAX_STREAMS } from "../../src/mux/session.ts";
import { WINDOW_BYTES } from "../../src/mux/stream.ts";
import { Channel } from "./channel.ts";

const everything = (most: number) => most;
const echo = (stream: Duplex) => void stream.pipe(stream);

function collect(stream: Duplex) {
  const seen = { bytes: 0, text: "", ended: false, error: null as Error | null };
  stream.on("data", (chunk: Buffer) => {
    seen.bytes += chunk.length;
    if (seen.text.length < 1_000_000) seen.text += chunk.toString("latin1");
  });
  stream.on("end", () => (seen.ended = true)).on("error", (error) => (seen.error = error));
  return seen;
}

test("every host that takes over at any byte gets its own bytes back, and nothing of the one before", async () => {
  const life = fc.record({
    sizes: fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 4 }),
    steps: fc.nat(30),
    cutOff: fc.nat(40_000),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(life, { minLength: 1, maxLength: 4 }),
      fc.infiniteStream(fc.nat(9)),
      async (lives, luck) => {
        const carry = (most: number) => Math.ceil((most * (luck.next().value ?? 0)) / 9);
        const channel = new Channel(carry, echo);
        for (const [number, { sizes, steps, cutOff }] of lives.entries()) {
          const letter = String.fromCharCode(97 + number);
          const streams = sizes.map((size) => {
            const stream = channel.dial();
            if (stream === null) throw new Error("too many");
            stream.end(letter.repeat(size));
            return collect(stream);
          });
          if (number < lives.length - 1) {
            for (let i = 0; i < steps; i++) {
              channel.step();
              if (i % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
            }
            channel.replaceHost(cutOff);
            continue;
          }
          await channel.settle();
          for (let i = 0; i < 200 && streams.some((seen) => !seen.ended); i++) await channel.settle();
          expect(streams.map(({ bytes, ended }) => ({ bytes, ended }))).toEqual(
            sizes.map((bytes) => ({ bytes, ended: true })),
          );
          expect(streams.every(({ text }) => text === letter.repeat(text.length))).toBe(true);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("each direction ends by itself; what is written in one turn goes as one frame", async () => {
  let inside: Duplex | undefined;
  const channel = new Channel(everything, (stream) => (inside = stream));
  const outside = channel.dial();
  if (outside === null) throw new Error("too many");
  const seen = collect(outside);
  outside.end("question");
  await channel.settle();
  if (inside === undefined) throw new Error("nothing was opened");
  const asked = collect(inside);
  await channel.settle();
  expect(asked).toMatchObject({ text: "question", ended: true });
  for (const part of ["a", "n", "s"]) inside.write(part);
  await channel.settle();
  expect(seen).toMatchObject({ text: "ans", ended: false });
  inside.end("wer");
  await channel.settle();
  expect(seen).toMatchObject({ text: "answer", ended: true, error: null });
  expect([inside.destroyed, outside.destroyed]).toEqual([true, true]);
});

test.each(["host", "guest"] as const)("a stream that the %s gives up breaks on the other side alone", async (who) => {
  let inside: Duplex | undefined;
  const channel = new Channel(everything, (stream) => {
    inside ??= stream;
    stream.pipe(stream);
  });
  const [first, second] = [channel.dial(), channel.dial()];
  if (first === null || second === null) throw new Error("too many");
  first.write("x");
  const other = collect(second);
  await channel.settle();
  if (inside === undefined) throw new Error("nothing was opened");
  const [giver, loser] = who === "host" ? [first, inside] : [inside, first];
  const lost = collect(loser);
  giver.destroy();
  second.end("still here");
  await channel.settle();
  expect(lost.error).toMatchObject({ code: "ECONNRESET" });
  expect(loser.destroyed).toBe(true);
  expect(other).toMatchObject({ text: "still here", ended: true });
});

test("a stream that nobody reads holds its sender back, and no other stream", async () => {
  const inside: Duplex[] = [];
  const channel = new Channel(everything, (stream) => {
    if (inside.push(stream) > 1) echo(stream);
  });
  const [stuck, free] = [channel.dial(), channel.dial()];
  if (stuck === null || free === null) throw new Error("too many");
  let accepted = 0;
  const fill = () => {
    if (accepted > 64 * WINDOW_BYTES) return;
    stuck.write(Buffer.alloc(16_384), () => {
      accepted += 16_384;
      fill();
    });
  };
  fill();
  const seen = collect(free);
  free.end("y".repeat(3 * WINDOW_BYTES));
  for (let i = 0; i < 50 && !seen.ended; i++) await channel.settle();
  expect(seen).toMatchObject({ bytes: 3 * WINDOW_BYTES, ended: true });
  expect(accepted).toBeGreaterThan(0);
  expect(accepted).toBeLessThan(2 * WINDOW_BYTES);
  const [late] = inside;
  if (late === undefined) throw new Error("nothing was opened");
  const taken = collect(late);
  await channel.settle();
  expect(taken.bytes).toBeGreaterThan(2 * WINDOW_BYTES);
});

test("streams take turns, a frame each", () => {
  const end = new MuxHostEnd(new Uint8Array(16), () => undefined);
  end.took(end.peek()?.length ?? 0);
  const streams = [1, 2, 3].map(() => end.open());
  for (const stream of streams) stream?.send(new Uint8Array(100_000).fill(9), () => undefined);
  const order: number[] = [];
  for (let batch = end.peek(); batch !== null; batch = end.peek()) {
    for (let at = 0; at < batch.length;) {
      const view = new DataView(batch.buffer, batch.byteOffset + at, 8);
      if (view.getUint8(0) === MuxFrameType.data) order.push(view.getUint32(4));
      at += 8 + view.getUint16(2);
    }
    end.took(batch.length);
  }
  expect(order.slice(0, 9)).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
});

test("there are as many streams as there may be; one that was given up before it was sent makes room again", async () => {
  const channel = new Channel(everything, echo);
  const streams = Array.from({ length: MAX_STREAMS }, () => channel.dial());
  expect(streams.every((stream) => stream !== null)).toBe(true);
  expect(channel.dial()).toBeNull();
  streams[5]?.destroy();
  expect(channel.dial()).not.toBeNull();
  await channel.settle();
  streams[6]?.destroy();
  expect(channel.dial()).toBeNull();
  await channel.settle();
  expect(channel.dial()).not.toBeNull();
});

function greeted(): MuxHostEnd {
  const nonce = new Uint8Array(16).fill(5);
  const end = new MuxHostEnd(nonce, () => undefined);
  const stream = end.open();
  stream?.attach({ arrived: () => undefined, broken: () => undefined });
  for (let bytes = end.peek(); bytes !== null; bytes = end.peek()) end.took(bytes.length);
  end.receive(answerTo(nonce));
  return end;
}

const data = (id: number, length: number) => encodeMuxFrame(MuxFrameType.data, id, new Uint8Array(length));
const hostile: [string, Uint8Array[]][] = [
  ["rubbish", [Uint8Array.of(200, 1, 2, 3, 4, 5, 6, 7)]],
  ["an open", [encodeMuxFrame(MuxFrameType.open, 2)]],
  ["data of a stream that never was", [data(2, 1)]],
  ["a reset of stream 0, a guest's farewell", [encodeMuxFrame(MuxFrameType.reset, 0)]],
  ["a second answer", [answerTo(new Uint8Array(16))]],
  ["more than the window", Array.from({ length: 17 }, () => data(1, 16_000))],
  ["a window of tiny frames", Array.from({ length: 1025 }, () => data(1, 1))],
  ["data behind the end", [encodeMuxFrame(MuxFrameType.fin, 1), data(1, 1)]],
  ["two ends", [encodeMuxFrame(MuxFrameType.fin, 1), encodeMuxFrame(MuxFrameType.fin, 1)]],
  ["two resets", [encodeMuxFrame(MuxFrameType.reset, 1), encodeMuxFrame(MuxFrameType.reset, 1)]],
  ["credit for nothing", [encodeCredit(1, WINDOW_BYTES / 4)]],
];

test.each(hostile)("a guest that sends %s loses the session", (_name, frames) => {
  const end = greeted();
  expect(() => {
    for (const frame of frames) end.receive(frame);
  }).toThrow(MuxError);
  expect(end.open()).toBeNull();
  expect(end.peek()).toBeNull();
});

test("late frames of streams that have ended are borne for a while, not for ever", () => {
  const end = greeted();
  const stream = end.open();
  stream?.attach({ arrived: () => undefined, broken: () => undefined });
  stream?.finish(() => undefined);
  for (let bytes = end.peek(); bytes !== null; bytes = end.peek()) end.took(bytes.length);
  end.receive(encodeMuxFrame(MuxFrameType.fin, 2));
  for (let i = 0; i < 5; i++) end.receive(encodeMuxFrame(MuxFrameType.reset, 2));
  expect(() => end.receive(encodeMuxFrame(MuxFrameType.reset, 2))).toThrow(MuxError);
});

test("a guest survives any bytes, says farewell, and serves the next host", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 })), async (rubbish) => {
      const channel = new Channel(everything, echo);
      await channel.settle();
      for (const bytes of rubbish) channel.guest.receive(bytes);
      channel.replaceHost(0);
      const stream = channel.dial();
      if (stream === null) throw new Error("too many");
      const seen = collect(stream);
      stream.end("hello");
      await channel.settle();
      expect(seen).toMatchObject({ text: "hello", ended: true });
    }),
    { numRuns: 40 },
  );
  const channel = new Channel(everything, echo);
  await channel.settle();
  channel.guest.receive(encodeMuxFrame(MuxFrameType.open, 0));
  expect(() => channel.step()).toThrow(MuxError);
});

test("a host floods the guest with streams: the session ends", async () => {
  const streams: Duplex[] = [];
  const channel = new Channel(everything, (stream) => streams.push(stream));
  await channel.settle();
  for (let id = 1; id <= MAX_STREAMS + 1; id++) channel.guest.receive(encodeMuxFrame(MuxFrameType.open, id));
  expect(streams).toHaveLength(MAX_STREAMS);
  expect(streams.every((stream) => stream.destroyed)).toBe(true);
});

test("a guest that goes on with an old session and never answers is given up", () => {
  const end = new MuxHostEnd(new Uint8Array(16).fill(1), () => undefined);
  const old = data(3, MAX_MUX_FRAME_BYTES - 8);
  const chunk = Buffer.concat(Array.from({ length: 1024 }, () => old));
  for (let i = 0; i < 32; i++) end.receive(chunk);
  expect(() => end.receive(chunk)).toThrow(MuxError);
});
