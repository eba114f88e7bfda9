import { expect, test } from "vitest";
import { InputQueue, type InputSink } from "../src/exec-input.ts";

class SlowSink implements InputSink {
  readonly written: number[] = [];
  ended = false;
  #go: (() => void)[] = [];

  write(bytes: Uint8Array): Promise<void> {
    this.written.push(bytes.length);
    return new Promise((resolve) => this.#go.push(resolve));
  }

  end(): Promise<void> {
    this.ended = true;
    return Promise.resolve();
  }

  async step(): Promise<void> {
    this.#go.shift()?.();
    await Promise.resolve();
    await Promise.resolve();
  }
}

test("one write at a time; the end comes after all of them", async () => {
  const sink = new SlowSink();
  const queue = new InputQueue(sink, 100, () => undefined);
  queue.push(new Uint8Array(3));
  queue.push(new Uint8Array(4));
  queue.end();
  queue.push(new Uint8Array(5));
  expect(sink.written).toEqual([3]);
  await sink.step();
  expect([sink.written, sink.ended]).toEqual([[3, 4], false]);
  await sink.step();
  expect([sink.written, sink.ended]).toEqual([[3, 4], true]);
});

test("it says when it is full and when it no longer is", async () => {
  const sink = new SlowSink();
  let calls = 0;
  const queue = new InputQueue(sink, 10, () => (calls += 1));
  queue.push(new Uint8Array(8));
  expect(queue.isFull).toBe(false);
  queue.push(new Uint8Array(8));
  expect(queue.isFull).toBe(true);
  await sink.step();
  expect([queue.isFull, calls]).toEqual([false, 1]);
});

test("a reader that is gone empties it for good", async () => {
  let calls = 0;
  const gone = { write: () => Promise.reject(new Error("EPIPE")), end: () => Promise.resolve() };
  const queue = new InputQueue(gone, 10, () => (calls += 1));
  queue.push(new Uint8Array(20));
  await Promise.resolve();
  await Promise.resolve();
  queue.push(new Uint8Array(20));
  expect([queue.isFull, calls]).toEqual([false, 1]);
});
