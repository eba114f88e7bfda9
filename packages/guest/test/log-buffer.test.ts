import { expect, test } from "vitest";
import { LogBuffer, type LogEntry } from "../src/log-buffer.ts";

const entry = (line: string): LogEntry => ({ stream: "stdout", line, ts: "2030-01-01T00:00:00.000Z" });

test("lines come out in order, bytes go back to zero", () => {
  const buffer = new LogBuffer(1_000_000);
  for (let i = 0; i < 5000; i++) buffer.push(entry(`${i}`));
  for (let i = 0; i < 5000; i++) expect(buffer.shift()?.line).toBe(`${i}`);
  expect(buffer.shift()).toBeNull();
  expect(buffer.isEmpty).toBe(true);
  expect(buffer.bytes).toBe(0);
  expect(buffer.takeDropped()).toBe(0);
});

test("beyond the bound the oldest go and are counted once", () => {
  const buffer = new LogBuffer(10 * (2 + 64));
  for (let i = 0; i < 25; i++) buffer.push(entry(`${i % 10}`));
  expect(buffer.bytes).toBeLessThanOrEqual(660);
  expect(buffer.takeDropped()).toBe(15);
  expect(buffer.takeDropped()).toBe(0);
  expect(buffer.shift()?.line).toBe("5");
});

test("a line that alone exceeds the bound is dropped", () => {
  const buffer = new LogBuffer(100);
  buffer.push(entry("x".repeat(100)));
  expect(buffer.isEmpty).toBe(true);
  expect(buffer.takeDropped()).toBe(1);
});
