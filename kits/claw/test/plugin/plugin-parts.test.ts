import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { ChatBusy } from "../../guest/plugin/chat.ts";
import { ProgressBoard } from "../../guest/plugin/progress-board.ts";
import { StayAwake } from "../../guest/plugin/stay-awake.ts";
import { TurnAwake } from "../../guest/plugin/turn-awake.ts";
import { WorkStore } from "../../guest/plugin/work-store.ts";
import { parseWorkLine } from "../../guest/work-line.ts";

test("the board shows the newest text and leaves out what was overtaken", async () => {
  const shown: string[] = [];
  const first = Promise.withResolvers<void>();
  const board = new ProgressBoard(
    async (shownText) => {
      shown.push(shownText);
      if (shownText === "1") await first.promise;
    },
    () => 60_000,
    () => null,
  );
  board.show("1");
  await expect.poll(() => shown).toEqual(["1"]);
  board.show("2");
  board.show("3");
  first.resolve();
  await board.finish("4");
  expect(shown).toEqual(["1", "4"]);
});

test("a board that cannot be shown goes on", async () => {
  const errors: unknown[] = [];
  const board = new ProgressBoard(
    () => Promise.reject(new Error("no")),
    () => 0,
    (error) => errors.push(error),
  );
  await board.finish("1");
  await board.finish("2");
  // the last text is tried three times
  expect(errors).toHaveLength(6);
});

test("a chat that asks for patience gets the newest text after it, the last one too", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const shown: string[] = [];
  let busy = 2;
  const board = new ProgressBoard(
    (shownText) => (busy-- > 0 ? Promise.reject(new ChatBusy(7000)) : Promise.resolve(void shown.push(shownText))),
    () => 1000,
    () => null,
  );
  board.show("1");
  await vi.advanceTimersByTimeAsync(6900);
  board.show("2");
  const finished = board.finish("3");
  await vi.advanceTimersByTimeAsync(7000);
  expect(shown).toEqual([]);
  await vi.advanceTimersByTimeAsync(200);
  await finished;
  expect(shown).toEqual(["3"]);
});

test("one lease for all holders, renewed, and given back at the end", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const held = new Set<string>();
  let number = 0;
  const awake = new StayAwake(
    {
      keepAwake: () => Promise.resolve({ lease_id: `l${++number}` }).then((lease) => (held.add(lease.lease_id), lease)),
      letSleep: (id) => Promise.resolve(void held.delete(id)),
    },
    (error) => expect.unreachable(String(error)),
  );
  awake.hold("a", "working");
  awake.hold("b", "working");
  await awake.settled();
  expect([...held]).toEqual(["l1"]);
  await vi.advanceTimersByTimeAsync(40_000);
  expect([...held]).toEqual(["l2"]);
  awake.release("a");
  await awake.settled();
  expect(held.size).toBe(1);
  awake.release("b");
  await awake.settled();
  expect(held.size).toBe(0);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(number).toBe(2);
});

test("a turn keeps the bot awake until it ends", () => {
  const holders = new Set<string>();
  const turns = new TurnAwake({ hold: (who) => void holders.add(who), release: (who) => void holders.delete(who) });
  onTestFinished(() => turns.close());
  turns.seen({ runId: "r", stream: "lifecycle", data: { phase: "start" } });
  turns.seen({ runId: "r", stream: "assistant", data: {} });
  expect(holders.size).toBe(1);
  turns.seen({ runId: "r", stream: "lifecycle", data: { phase: "end" } });
  expect(holders.size).toBe(0);
});

test("a state file that is no JSON is put aside", () => {
  const folder = mkdtempSync(join(tmpdir(), "store-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "claw-kit.json");
  writeFileSync(path, "{half");
  expect(new WorkStore(path).running()).toEqual([]);
  expect(existsSync(`${path}.broken`)).toBe(true);
});

test.each(["plain", '{"claw":"done"}', '{"claw":"progress","text":5}', '{"claw":', '{"claw":"other","text":"x"}'])(
  "%s is not a line of the runner",
  (line) => expect(parseWorkLine(line)).toBeNull(),
);
