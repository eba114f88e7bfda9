import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { lastError } from "../../src/status/last-error.ts";
import { status } from "../../src/status/status.ts";
import { botInstance } from "../../src/bot-instance.ts";
import { loadSettings } from "../../src/settings.ts";
import { UpLock } from "../../src/up-lock.ts";
import { openUpState, saveUpState } from "../../src/up-state.ts";
import { startDoubles, TOKEN } from "./doubles.ts";

let daemon: FakeDaemon;
let url: string;
let bot: object;
let log: object[];

beforeEach(async () => {
  daemon = await FakeDaemon.start();
  onTestFinished(() => daemon.close());
  ({ url } = await startDoubles());
  bot = { id: "inst-1", handle: "claw-bot", enabled: true, state: "paused", failure: null };
  log = [];
  daemon.routes["GET /v1/status"] = () => ({ body: { status: "running", pid: 42, disk: { low: false } } });
  daemon.routes["GET /v1/instances/claw-bot"] = () => ({ body: bot });
  daemon.routes["GET /v1/instances/inst-1/logs"] = () => ({
    write: (response) => void response.end(log.map((line) => `${JSON.stringify(line)}\n`).join("")),
  });
  daemon.routes["GET /v1/instances"] = () => ({
    body: [{ handle: "sandbox-telegram-direct-42-1a2b3c4d" }, { handle: "work-1" }],
  });
  mkdirSync(join(daemon.home, "claw"));
});

async function lines(env: Record<string, string> = {}, home = daemon.home) {
  const printed: string[] = [];
  const code = await status([], { env: { AEGIS_HOME: home, ...env }, print: (text) => printed.push(text) });
  return { code, lines: printed.join("\n").split("\n") };
}

const real = () => ({
  TELEGRAM_BOT_TOKEN: TOKEN,
  TELEGRAM_API_ROOT: url,
  OPENAI_BASE_URL: `${url}/v1`,
  OPENAI_MODEL: "m",
});

const running = () => {
  const lock = UpLock.take(join(daemon.home, "claw"));
  onTestFinished(() => lock.release());
  lock.ready(null);
};

test("five lines when all is well, and exit code 0", async () => {
  running();
  const { code, lines: five } = await lines(real());
  expect(five).toEqual([
    expect.stringMatching(/^ok {3}aegisd {2}runs, pid 42$/),
    expect.stringMatching(/^ok {3}bot .*wakes on a message; its own tools have 1 sandbox$/),
    expect.stringMatching(/^ok {3}chat .*@lobster_bot, messages come by relay/),
    expect.stringMatching(/^ok {3}model .*m, 127\.0\.0\.1:\d+ answers/),
    expect.stringMatching(/^ok {3}errors .*none of late/),
  ]);
  expect(code).toBe(0);
});

test("each thing that is broken says what to do", async () => {
  const model = { OPENAI_BASE_URL: "http://127.0.0.2:4/v1" };
  bot = { ...bot, state: "failed", failure: "no room" };
  const found = await lines({ ...real(), ...model, TELEGRAM_BOT_TOKEN: TOKEN.replace("AAF", "BBF") });
  expect(found.code).toBe(1);
  expect(found.lines[1]).toMatch(/BAD {2}bot .*no room {2}-> {2}aegis logs claw-bot/);
  expect(found.lines[2]).toMatch(/BAD {2}chat .*refuses the bot token.*-> {2}aegis kit setup claw/);
  expect(found.lines[3]).toMatch(/BAD {2}model .*cannot be reached \(ECONNREFUSED\)/);
});

test("a bot without own tools says so", async () => {
  expect((await lines({ ...real(), CLAW_OWN_TOOLS: "off" })).lines[1]).toMatch(/; no tools of its own$/);
  await expect(lines({ ...real(), CLAW_OWN_TOOLS: "gateway" })).rejects.toThrow("must be one of sandbox, off");
});

test("a kit that does not run", async () => {
  const { lines: five } = await lines(real());
  expect(five[2]).toMatch(/BAD .*messages wait there {2}-> {2}aegis kit up claw/);
});

/** The kit was up, with a bot of these settings. */
async function wasUp(env: Record<string, string>): Promise<void> {
  const folder = join(daemon.home, "claw");
  const state = await openUpState(folder);
  const { create } = botInstance(loadSettings(env), {
    image: "claw",
    workspace: "claw-bot",
    openclaw: "2026.9.6",
    botApiUrl: "http://127.0.0.1:1",
    webhookSecret: "hook",
    relayKey: "r",
    demoModelUrl: `http://127.0.0.1:${state.modelPort}`,
  });
  saveUpState(folder, Object.assign(state, { bot: create }));
}

test("the model is the one that the bot was started with, whoever asks", async () => {
  await wasUp({ OPENAI_BASE_URL: `${url}/v1`, OPENAI_MODEL: "of-the-bot" });
  expect((await lines()).lines[3]).toMatch(/the offline demo/);
  running();
  expect((await lines()).lines[3]).toMatch(/^ok {3}model {3}of-the-bot, 127\.0\.0\.1:\d+ answers$/);
  await wasUp({});
  expect((await lines(real())).lines[3]).toMatch(/the offline demo/);
});

test("a bot that is there is told from none where aegisd does not run", async () => {
  await wasUp({});
  daemon.routes["GET /v1/status"] = () => ({ status: 503, body: { error: "no", code: "unavailable" } });
  expect((await lines()).lines[1]).toMatch(/BAD {2}bot {5}is down, as aegisd does not run/);
});

test("nothing there at all: five lines too", async () => {
  const { code, lines: five } = await lines({}, `${daemon.home}/nowhere`);
  expect(five).toHaveLength(5);
  expect(five[0]).toMatch(/BAD {2}aegisd .*aegis kit up claw/);
  expect(code).toBe(1);
});

test("the last error of the model in plain words", async () => {
  running();
  const line = "[agent] embedded run failed: rawError=401 Incorrect API key provided";
  log = [{ ts: new Date().toISOString(), stream: "stdout", line }];
  expect((await lines(real())).lines[4]).toMatch(/401 Incorrect.* -> {2}the model's provider refuses the key/);
});

test.each([
  ["rawError=429 Too many", /too many requests/],
  ["rawError=402 You have insufficient credit", /run out of money/],
  ["rawError=500 upstream", /trouble of its own/],
  ["rawError=fetch failed", /cannot be reached/],
  ["FATAL ERROR: JavaScript heap out of memory", /CLAW_BOT_MEMORY_MB/],
  ["rawError=what is this", /aegis logs/],
])("%s", (line, words) => {
  expect(lastError([{ ts: "2026-01-01T00:00:00Z", stream: "stdout", source: "boot", line }])?.words).toMatch(words);
});

test("an ordinary log has no error", () => {
  expect(lastError([{ ts: "2026-01-01T00:00:00Z", stream: "stdout", source: "boot", line: "listening" }])).toBeNull();
});
