import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "../../src/relay/database.ts";
import { Delivery, type DeliveryState } from "../../src/relay/delivery/delivery.ts";
import { laneOf } from "../../src/relay/delivery/lane-of.ts";
import { UpdateQueue } from "../../src/relay/delivery/update-queue.ts";
import { Settings } from "../../src/relay/settings.ts";
import { BotDouble, textOf } from "./bot-double.ts";

let stateDir: string;
let bot: BotDouble;
let stop: (() => Promise<void>) | undefined;
const lines: string[] = [];
const states: DeliveryState[] = [];

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "delivery-"));
  bot = new BotDouble();
  lines.length = 0;
  states.length = 0;
  await bot.start();
});

afterEach(async () => {
  await stop?.();
  await bot.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

function open(): { queue: UpdateQueue; delivery: Delivery } {
  const db = openDatabase(stateDir);
  const queue = new UpdateQueue(db, new Settings(db));
  const delivery = new Delivery({
    queue,
    webhook: { url: bot.url, secret: "s" },
    log: (line) => lines.push(line),
    retryMs: { first: 1, longest: 5 },
    onChange: (state) => states.push(state),
  });
  stop = async () => {
    await delivery.close();
    db.close();
    stop = undefined;
  };
  return { queue, delivery };
}

const message = (id: number, chat: number, text = `m${id}`) => ({
  update_id: id,
  message: { message_id: id, chat: { id: chat }, from: { id: chat }, text },
});

test("keeps the order of each chat and brings one update at a time", async () => {
  const { queue, delivery } = open();
  bot.answer = async (): Promise<"durable"> => {
    await new Promise((resolve) => setImmediate(resolve));
    return "durable";
  };
  const updates = Array.from({ length: 30 }, (_, n) => message(n + 1, (n % 3) + 1));
  queue.receive(updates, 31);
  delivery.wake();
  await bot.until(() => bot.accepted.length === 30);
  for (const chat of [1, 2, 3]) {
    const ids = bot.accepted.filter((update) => laneOf(update) === `chat:${chat}`).map((update) => update.update_id);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(bot.widest.get(chat)).toBe(1);
  }
  expect(queue.offset).toBe(31);
});

test("a chat whose update fails does not hold up the others, and loses its own order never", async () => {
  const { queue, delivery } = open();
  bot.answer = (update, attempt) => (update.update_id === 1 && attempt < 6 ? 500 : "durable");
  queue.receive([message(1, 1), message(2, 2), message(3, 1)], 4);
  delivery.wake();
  await bot.until(() => bot.accepted.length === 3);
  expect(bot.accepted.map(textOf)).toEqual(["m2", "m1", "m3"]);
  expect(states).toContain("retrying");
});

test("takes a 200 only with the receipt that the update is durable", async () => {
  const { queue, delivery } = open();
  bot.answer = (_update, attempt) => (["plain", "drop", "durable"] as const)[attempt - 1] ?? "durable";
  queue.receive([message(1, 1)], 2);
  delivery.wake();
  await bot.until(() => bot.accepted.length === 1);
  expect(bot.attempts).toHaveLength(3);
  expect(lines.join()).toContain("without a durable receipt");
});

test("goes on when the bot comes back, without keeping a connection to it", async () => {
  const { queue, delivery } = open();
  await bot.stop();
  queue.receive([message(1, 1), message(2, 1)], 3);
  delivery.wake();
  await bot.start();
  await bot.until(() => bot.accepted.length === 2);
  expect(bot.accepted.map(textOf)).toEqual(["m1", "m2"]);
  expect(bot.connectionSeen).toBe("close");
});

test("gives an update up that the bot refuses again and again, and goes on with the next", async () => {
  const { queue, delivery } = open();
  bot.answer = (update) => (update.update_id === 1 ? 400 : "durable");
  queue.receive([message(1, 1), message(2, 1)], 3);
  delivery.wake();
  await bot.until(() => bot.accepted.length === 1);
  expect(bot.attempts.filter((update) => update.update_id === 1)).toHaveLength(5);
  expect(bot.accepted.map(textOf)).toEqual(["m2"]);
  expect(lines.join()).toContain("update 1 given up");
});

test("an update that the bot breaks on, while it takes the one behind it, is given up, and the order of the rest is kept", async () => {
  const { queue, delivery } = open();
  bot.answer = (update) => (update.update_id === 1 ? 500 : "durable");
  queue.receive([message(1, 1), message(2, 1), message(3, 1)], 4);
  delivery.wake();
  await bot.until(() => bot.accepted.length === 2);
  expect(bot.accepted.map(textOf)).toEqual(["m2", "m3"]);
  expect(bot.attempts.filter((update) => update.update_id === 1)).toHaveLength(9);
  expect(lines.join()).toContain("update 1 given up after 9 tries: the bot answered 500");
});

test("or while it takes what others write", async () => {
  const { queue, delivery } = open();
  bot.answer = (update) => (update.update_id === 1 ? 500 : "durable");
  queue.receive([message(1, 1)], 2);
  delivery.wake();
  await bot.until(() => bot.attempts.length > 0);
  queue.receive([message(2, 2)], 3);
  delivery.wake();
  await bot.until(() => bot.attempts.filter((update) => update.update_id === 1).length === 8);
  await expect.poll(() => queue.pending).toBe(0);
});

test("a bot that breaks on all of them has not refused any", async () => {
  const { queue, delivery } = open();
  let isBroken = true;
  bot.answer = (update, attempt) => {
    isBroken = isBroken && !(update.update_id === 1 && attempt > 11);
    return isBroken ? 500 : "durable";
  };
  queue.receive([message(1, 1), message(2, 1), message(3, 2)], 4);
  delivery.wake();
  await bot.until(() => bot.attempts.filter((update) => update.update_id === 1).length > 10);
  expect(queue.pending).toBe(3);
  await bot.until(() => bot.accepted.length === 3);
  expect(bot.accepted.map(textOf).toSorted()).toEqual(["m1", "m2", "m3"]);
  expect(bot.accepted.map(textOf).filter((text) => text !== "m3")).toEqual(["m1", "m2"]);
});

test("what was not accepted is still there after a restart, what was is not", async () => {
  const first = open();
  bot.answer = (update) => (update.update_id === 1 ? "durable" : 500);
  first.queue.receive([message(1, 1), message(2, 1)], 3);
  first.delivery.wake();
  await bot.until(() => bot.attempts.some((update) => update.update_id === 2));
  await stop?.();
  bot.answer = () => "durable";
  const second = open();
  expect(second.queue.pending).toBe(1);
  second.delivery.wake();
  await bot.until(() => bot.accepted.length === 2);
  expect(bot.accepted.map(textOf)).toEqual(["m1", "m2"]);
});

test("an update that Telegram sends twice is brought once", async () => {
  const { queue, delivery } = open();
  queue.receive([message(1, 1)], 2);
  delivery.wake();
  await bot.until(() => bot.accepted.length === 1);
  queue.receive([message(1, 1), message(2, 1)], 3);
  delivery.wake();
  await bot.until(() => bot.accepted.length === 2);
  expect(bot.accepted.map(textOf)).toEqual(["m1", "m2"]);
});

test("a second relay on the same state is refused with the reason", () => {
  open();
  expect(() => openDatabase(stateDir)).toThrow(/Another relay is using/);
});

test("updates find their chat", () => {
  expect(laneOf({ update_id: 1, edited_message: { chat: { id: -5 } } })).toBe("chat:-5");
  expect(laneOf({ update_id: 1, callback_query: { from: { id: 9 }, message: { chat: { id: 3 } } } })).toBe("chat:3");
  expect(laneOf({ update_id: 1, inline_query: { from: { id: 9 } } })).toBe("user:9");
  expect(laneOf({ update_id: 1, poll: { id: "x" } })).toBe("other");
});
