import { request } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type BotApiDouble, startBotApiDouble } from "../../../../tests/e2e/bot-api-double.ts";
import type { TelegramMode } from "../../src/relay/options.ts";
import { textOf } from "./bot-double.ts";
import { realToken, RelayFixture } from "./relay-fixture.ts";

let telegram: BotApiDouble;
let fixture: RelayFixture;

beforeEach(async () => {
  telegram = await startBotApiDouble({ token: realToken });
  fixture = await new RelayFixture().prepare();
});

afterEach(async () => {
  await fixture[Symbol.asyncDispose]();
  await telegram.close();
});

const relay: TelegramMode = { kind: "relay" };
const polling: TelegramMode = { kind: "polling" };
/** prints an address that leads to the receiver and tells its pid */
const tunnelCommand = `node -e "console.error('starting'); console.log('| http://127.0.0.1:{port}/t' + process.pid + ' |'); setTimeout(() => {}, 1e9)"`;
const tunnel: TelegramMode = {
  kind: "webhook",
  port: 0,
  reach: { kind: "tunnel", command: tunnelCommand, urlPattern: String.raw`\| (\S+) \|` },
};

const start = (mode: TelegramMode, allowFrom?: readonly number[]) =>
  fixture.start({
    kind: "telegram",
    token: realToken,
    apiRoot: telegram.url,
    mode,
    retryMs: { first: 10, longest: 100 },
    ...(allowFrom ? { allowFrom } : {}),
  });

const delivered = () => fixture.bot.accepted.map(textOf);
const accepted = (count: number) => fixture.bot.until(() => fixture.bot.accepted.length >= count);
const advertised = () => telegram.until(() => telegram.webhookUrl !== "");
const pidOf = (url: string) => Number(/\/t(\d+)\//.exec(url)?.[1]);

/** A post to the public URL. */
function post(headers: Record<string, string>, body: string | Buffer, path = "/telegram-webhook"): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const { port } = new URL(telegram.webhookUrl);
  const sent = request({ host: "127.0.0.1", port, path, method: "POST", headers, agent: false }, (answer) => {
    answer.resume();
    resolve(answer.statusCode ?? 0);
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

const secretOf = () =>
  String(telegram.calls.findLast(({ method }) => method === "setWebhook")?.parameters["secret_token"]);

async function poll(offset: number, timeout = 5): Promise<{ update_id: number }[]> {
  const { result } = await fixture.api("getUpdates", { offset, timeout, limit: 100 });
  return result as { update_id: number }[];
}

/** The bot polls until it has this many; @returns their texts */
async function pollAll(count: number, offset = 0): Promise<{ texts: string[]; next: number }> {
  const texts: string[] = [];
  let next = offset;
  while (texts.length < count) {
    for (const update of await poll(next)) {
      texts.push(textOf(update));
      next = Math.max(next, update.update_id + 1);
    }
  }
  return { texts, next };
}

test("webhook: an update arrives over the public URL, and Telegram is done with it", async () => {
  await start(tunnel);
  await advertised();
  telegram.say("one");
  telegram.say("two");
  await accepted(2);
  expect(delivered()).toEqual(["one", "two"]);
  await telegram.until(() => telegram.waiting === 0);
  expect(telegram.calls.map(({ method }) => method)).not.toContain("getUpdates");
  expect(await fixture.api("getUpdates")).toMatchObject({ status: 409 });
});

test("webhook: without the secret nobody is read, and the bot is not woken", async () => {
  await start(tunnel);
  await advertised();
  const update = JSON.stringify({ update_id: 1, message: { text: "let me in" } });
  expect(await post({}, update)).toBe(401);
  expect(await post({ "x-telegram-bot-api-secret-token": "guessed" }, update)).toBe(401);
  expect(await post({ "x-telegram-bot-api-secret-token": secretOf() }, update, "/elsewhere")).toBe(404);
  expect(fixture.bot.attempts).toEqual([]);
  expect(fixture.lines.join("\n")).toContain("called without the secret");
  expect(fixture.lines.join("\n")).not.toContain(secretOf());
});

test("webhook: what is no update is taken and dropped, what is too large is refused, and the next one arrives", async () => {
  await start(tunnel);
  await advertised();
  const headers = { "x-telegram-bot-api-secret-token": secretOf() };
  expect(await post(headers, "[1,")).toBe(200);
  expect(await post(headers, '{"update_id":"x"}')).toBe(200);
  expect(await post(headers, Buffer.alloc(21 * 1024 * 1024, 32)).catch(() => 413)).toBe(413);
  telegram.say("still here");
  await accepted(1);
  expect(delivered()).toEqual(["still here"]);
});

test("webhook: strangers are answered but wake nobody", async () => {
  await start(tunnel, [42]);
  await advertised();
  telegram.say("let me in", 666);
  telegram.say("it is me", 42);
  await accepted(1);
  await telegram.until(() => telegram.waiting === 0);
  expect(delivered()).toEqual(["it is me"]);
});

test("webhook: a tunnel that ends is started again, and Telegram is told of its new address", async () => {
  await start(tunnel);
  await advertised();
  const first = telegram.webhookUrl;
  process.kill(pidOf(first), "SIGKILL");
  await telegram.until(() => telegram.webhookUrl !== first);
  telegram.say("through the second");
  await accepted(1);
  expect(fixture.lines.join("\n")).toMatch(/the tunnel ended: .*SIGKILL/);
});

test("webhook: the tunnel goes with the relay, and sees none of its secrets", async () => {
  process.env["TELEGRAM_BOT_TOKEN"] = realToken;
  const command = `node -e "console.log('| http://127.0.0.1:{port}/t' + process.pid + '/' + (process.env.TELEGRAM_BOT_TOKEN ?? 'no-token') + ' |'); setTimeout(() => {}, 1e9)"`;
  try {
    await start({ kind: "webhook", port: 0, reach: { kind: "tunnel", command, urlPattern: String.raw`\| (\S+) \|` } });
    await advertised();
  } finally {
    delete process.env["TELEGRAM_BOT_TOKEN"];
  }
  expect(telegram.webhookUrl).toContain("/no-token/");
  const pid = pidOf(telegram.webhookUrl);
  expect(() => process.kill(pid, 0)).not.toThrow();
  await fixture.relay?.close();
  expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
});

test("webhook: a tunnel that cannot start is told to the person, with its last words", async () => {
  const command = "sh -c 'echo no such tunnel >&2; exit 3'";
  await start({ kind: "webhook", port: 0, reach: { kind: "tunnel", command, urlPattern: "https://x" } });
  await expect.poll(() => fixture.notices.join("\n")).toMatch(/does not stay up .*exit code 3: no such tunnel/);
});

test("webhook: one that another program has changed is set back, and the person hears of it", async () => {
  await start(tunnel);
  await telegram.waitForCall("setWebhook");
  const ours = telegram.webhookUrl;
  telegram.setForeignWebhook("https://elsewhere.invalid/hook");
  await telegram.until(() => telegram.webhookUrl === ours);
  expect(fixture.notices.join("\n")).toContain("another program has changed the webhook");
});

test("webhook: an address that Telegram refuses is tried again, as late as Telegram asks for", async () => {
  telegram.failNext("setWebhook", { status: 400, description: "Bad Request: bad webhook: Failed to resolve host" });
  telegram.failNext("setWebhook", { status: 429, description: "Too Many Requests", retryAfterS: 1 });
  await start(tunnel);
  await advertised();
  expect(fixture.notices[0]).toMatch(/Failed to resolve host/);
  await expect.poll(() => fixture.notices.at(-1)).toBe("Telegram: all is well again");
});

test("polling: the bot's own poll goes out under the real token, one at a time", async () => {
  telegram.setForeignWebhook("https://elsewhere.invalid/hook");
  await start(polling);
  const early = poll(0, 30);
  await telegram.waitForCall("getUpdates");
  const late = pollAll(1);
  telegram.say("hello");
  const { texts, next } = await late;
  expect(texts).toEqual(["hello"]);
  await early;
  const ends = poll(next, 0);
  expect(await ends).toEqual([]);
  expect(telegram.confirmedOffset).toBe(next);
  expect(telegram.conflicts).toEqual([]);
  expect(fixture.bot.attempts).toEqual([]);
  await fixture.relay?.botPolls;
});

test("polling: Telegram's refusals reach the bot as they are, and the person when they last", async () => {
  await start(polling);
  telegram.failNext("getUpdates", { status: 429, description: "Too Many Requests: retry after 7", retryAfterS: 7 });
  expect(await fixture.api("getUpdates", { timeout: 0 })).toMatchObject({
    status: 429,
    parameters: { retry_after: 7 },
  });
  telegram.failNext("getUpdates", { status: 409, description: "Conflict: terminated by other getUpdates request" });
  expect(await fixture.api("getUpdates", { timeout: 0 })).toMatchObject({ status: 409 });
  expect(fixture.notices.join()).toContain("another program polls");
  expect(await fixture.api("getUpdates", { timeout: 0 })).toMatchObject({ ok: true });
});

test("polling: the bot first gets what the relay had taken over and could not deliver, until it confirms it", async () => {
  await start(relay);
  await fixture.bot.stop();
  const last = [telegram.say("one"), telegram.say("two")].at(-1) ?? 0;
  await telegram.waitUntilConfirmed(last);
  await fixture.relay?.close();
  await start(polling);
  telegram.say("three");
  const ids = (await poll(0, 0)).map(({ update_id }) => update_id);
  expect(ids).toEqual([last - 1, last]);
  expect((await poll(0, 0)).map(({ update_id }) => update_id)).toEqual(ids);
  expect((await pollAll(1, last + 1)).texts).toEqual(["three"]);
});

test("through all modes and back, with people writing all the time: each update once, in order, and never a conflict", async () => {
  // the bot knows an update by its id, however it came, as OpenClaw does
  const got = new Map<number, string>();
  const take = (update: { update_id: number }) => void got.set(update.update_id, textOf(update));
  fixture.bot.answer = (update) => {
    take(update);
    return "durable";
  };
  let said = 0;
  const say = () => {
    for (let k = 0; k < 3; k++) telegram.say(`m${said++}`);
  };
  for (const mode of [relay, tunnel, polling, relay, polling, tunnel, relay]) {
    say();
    await start(mode);
    say();
    if (mode === polling) {
      for (let next = 0; got.size < said;) {
        const updates = await poll(next);
        for (const update of updates) take(update);
        next = Math.max(next, ...updates.map(({ update_id }) => update_id + 1));
      }
      say();
      // given to the bot, which ends before it confirms them
      for (const update of await poll(0)) take(update);
    } else {
      await fixture.bot.until(() => got.size >= said);
    }
    await fixture.relay?.close();
  }
  expect([...got.values()]).toEqual(Array.from({ length: said }, (_, k) => `m${k}`));
  expect(telegram.conflicts).toEqual([]);
});

test("with the token of another bot, ids and offset of the first one count no more", async () => {
  await start(relay);
  telegram.say("for the first");
  await accepted(1);
  await fixture.relay?.close();
  const second = await startBotApiDouble({ token: "8:another-token" });
  try {
    await fixture.start({ kind: "telegram", token: "8:another-token", apiRoot: second.url });
    second.say("for the second");
    await accepted(2);
    expect(delivered()).toEqual(["for the first", "for the second"]);
  } finally {
    await second.close();
  }
});
