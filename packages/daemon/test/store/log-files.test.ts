import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LogLine } from "@aegis/protocol/exec";
import { LogFiles } from "../../src/store/log-files.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const line = (text: string, ts = "2026-01-01T00:00:00.000Z"): LogLine => ({
  ts,
  stream: "stdout",
  source: "boot",
  line: text,
});

async function take(lines: AsyncIterable<LogLine>, count = Infinity): Promise<string[]> {
  const taken: string[] = [];
  for await (const { line: text } of lines) if (taken.push(text) >= count) break;
  return taken;
}

const never = new AbortController().signal;

describe("LogFiles", () => {
  const open = (root = temporaryFolder()) => ({ root, logs: new LogFiles(root, (message) => expect.fail(message)) });

  it("keeps lines in order over a restart", async () => {
    const { root, logs } = open();
    for (const text of ["a", "b", "c"]) logs.append("i", line(text));
    await logs.flush();
    expect(await take(open(root).logs.read("i", {}, never))).toEqual(["a", "b", "c"]);
  });

  it("knows tail and since", async () => {
    const { logs } = open();
    for (const [text, hour] of [
      ["a", "01"],
      ["b", "02"],
      ["c", "03"],
    ] as const)
      logs.append("i", line(text, `2026-01-01T${hour}:00:00.000Z`));
    expect(await take(logs.read("i", { tail: 2 }, never))).toEqual(["b", "c"]);
    expect(await take(logs.read("i", { since: "2026-01-01T02:30:00.000Z" }, never))).toEqual(["c"]);
  });

  it("follows without losing or repeating what comes meanwhile", async () => {
    const { logs } = open();
    logs.append("i", line("0"));
    const taken = take(logs.read("i", { follow: true }, never), 50);
    for (let n = 1; n < 50; n++) {
      logs.append("i", line(String(n)));
      if (n % 10 === 0) await logs.flush();
    }
    expect(await taken).toEqual(Array.from({ length: 50 }, (_, n) => String(n)));
    await logs.flush();
  });

  it("follows exactly, wherever in a stream of lines a reader comes in", async () => {
    const { logs } = open();
    const readers: Promise<string[]>[] = [];
    for (let n = 0; n < 1000; n++) {
      logs.append("i", line(String(n)));
      if (n % 40 === 0) readers.push(take(logs.read("i", { follow: true }, never), 1000));
      if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const all = Array.from({ length: 1000 }, (_, n) => String(n));
    for (const taken of await Promise.all(readers)) expect(taken).toEqual(all);
    await logs.flush();
  });

  it("ends followers when the instance is deleted or the reader leaves", async () => {
    const { root, logs } = open();
    logs.append("i", line("a"));
    const deleted = take(logs.read("i", { follow: true }, never));
    const leaving = new AbortController();
    const left = take(logs.read("j", { follow: true }, leaving.signal));
    await logs.flush();
    leaving.abort();
    expect(await left).toEqual([]);
    await logs.delete("i");
    await deleted;
    expect(existsSync(join(root, "i", "logs"))).toBe(false);
  });

  it("skips a line that a crash cut in half", async () => {
    const { root, logs } = open();
    logs.append("i", line("a"));
    await logs.flush();
    appendFileSync(join(root, "i", "logs", "log.ndjson"), '{"ts":"2026\n');
    expect(await take(logs.read("i", {}, never))).toEqual(["a"]);
  });

  it("rotates: the newest lines stay, the oldest go, the disk is bounded", async () => {
    const { logs } = open();
    const long = "x".repeat(64 * 1024);
    for (let n = 0; n < 400; n++) {
      logs.append("i", line(`${n} ${long}`));
      if (n % 20 === 0) await logs.flush();
    }
    await logs.flush();
    const kept = await take(logs.read("i", {}, never));
    expect(kept.at(-1)).toMatch(/^399 /);
    expect(kept.length).toBeLessThan(300);
    expect(kept.length).toBeGreaterThan(100);
  });
});
