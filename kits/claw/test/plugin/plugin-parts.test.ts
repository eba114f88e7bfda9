import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { ProgressBoard } from "../../guest/plugin/progress-board.ts";
import { StayAwake } from "../../guest/plugin/stay-awake.ts";
import { TelegramChat } from "../../guest/plugin/telegram-chat.ts";
import { TurnAwake } from "../../guest/plugin/turn-awake.ts";
import { workCommand } from "../../guest/plugin/work-command.ts";
import { WorkStore } from "../../guest/plugin/work-store.ts";
import { parseWorkLine } from "../../guest/work-line.ts";
import { ann, plugin } from "./plugin-fixture.ts";

test("/work is the tools without the model", async () => {
  const { boot } = await plugin();
  const parts = boot();
  await parts.run("work_spawn", ann, { task: "one" });
  const say = (args: string) => workCommand(parts, { sessionKey: "ann", args });
  expect(await say("")).toContain("work-1: running");
  expect(await say("status work-1")).toContain("job: one");
  expect(await say("stop")).toContain("work-1 is stopped");
  expect(await say("dance")).toContain("/work status|logs|stop|link");
  expect(await workCommand(parts, { sessionKey: "ben", args: "logs work-1" })).toContain("no work instance");
});

test("the board shows the newest text and leaves out what was overtaken", async () => {
  const shown: string[] = [];
  const first = Promise.withResolvers<void>();
  const board = new ProgressBoard(
    async (shownText) => {
      shown.push(shownText);
      if (shownText === "1") await first.promise;
    },
    60_000,
    () => null,
  );
  board.show("1");
  await vi.waitFor(() => expect(shown).toEqual(["1"]));
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
    0,
    (error) => errors.push(error),
  );
  await board.finish("1");
  await board.finish("2");
  expect(errors).toHaveLength(2);
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

test("telegram: chats, topics, and an edit that changes nothing", async () => {
  const seen: unknown[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await text(request);
    seen.push([request.url, JSON.parse(body)]);
    const unchanged = request.url?.endsWith("editMessageText") === true;
    response.end(
      JSON.stringify(
        unchanged
          ? { ok: false, description: "Bad Request: message is not modified" }
          : { ok: true, result: { message_id: 7 } },
      ),
    );
  };
  const server = createServer((request, response) => void answer(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const chat = new TelegramChat(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, "1:x");
  expect(await chat.send({ channel: "telegram", to: "telegram:group:-100", threadId: "5" }, "hi")).toBe(7);
  await chat.edit({ channel: "telegram", to: "telegram:42" }, 7, "hi");
  expect(seen).toEqual([
    ["/bot1:x/sendMessage", { chat_id: -100, message_thread_id: 5, text: "hi" }],
    ["/bot1:x/editMessageText", { chat_id: 42, message_id: 7, text: "hi" }],
  ]);
  expect(chat.reaches({ channel: "webchat", to: "1" })).toBe(false);
  expect(chat.reaches({ channel: "telegram", to: "telegram:@name" })).toBe(false);
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
