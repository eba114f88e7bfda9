import { expect, test } from "vitest";
import { LogBuffer, type LogEntry } from "../src/log-buffer.ts";

const entry = (line: string): LogEntry => ({ stream: "stdout", line, ts: "2030-01-01T00:00:00.000Z" });

test("lines come out in order, bytes go back to zero", () => {
  const buffer = new LogBuffer(1_000_000);
  for (let i = 0; i < 5000; i++) buffer.push(entry(`${i}`));
  for (let i = 0; i < 5000; i++) expect(buffer.next()).toMatchObject({ line: `${i}`, seq: i + 1 });
  expect(buffer.next()).toBeNull();
  expect(buffer.allSent).toBe(true);
  expect(buffer.unsentBytes).toBe(0);
  expect(buffer.takeDropped()).toBe(0);
});

test("what was sent and is not on disk is sent again, once the host is another one", () => {
  const buffer = new LogBuffer(1_000_000);
  for (let i = 1; i <= 3000; i++) buffer.push(entry(`${i}`));
  for (let i = 1; i <= 2500; i++) buffer.next();
  buffer.release(2000);
  buffer.rewind();
  expect(buffer.next()?.seq).toBe(2001);
  buffer.release(2400);
  expect(buffer.next()?.seq).toBe(2401);
  for (let i = 2402; i <= 3000; i++) expect(buffer.next()?.seq).toBe(i);
  expect(buffer.allSent).toBe(true);
  buffer.release(9999);
  buffer.rewind();
  expect(buffer.next()).toBeNull();
});

test("beyond the bound the oldest go and are counted once", () => {
  const buffer = new LogBuffer(10 * (2 + 64));
  for (let i = 0; i < 25; i++) buffer.push(entry(`${i % 10}`));
  expect(buffer.unsentBytes).toBeLessThanOrEqual(660);
  expect(buffer.takeDropped()).toBe(15);
  expect(buffer.takeDropped()).toBe(0);
  expect(buffer.next()?.line).toBe("5");
});

test("a line that alone exceeds the bound is dropped", () => {
  const buffer = new LogBuffer(100);
  buffer.push(entry("x".repeat(100)));
  expect(buffer.allSent).toBe(true);
  expect(buffer.takeDropped()).toBe(1);
});
