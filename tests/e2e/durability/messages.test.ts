import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "@aegis/sdk/test/free-port";
import { AegisError } from "../../../packages/protocol/src/errors.ts";
import { type Aegis, hasWorkspaces, startAegis } from "../aegis-fixture.ts";
import { type BotApiDouble, startBotApiDouble } from "../bot-api-double.ts";
import { IMAGES } from "../fixture-images.ts";
import { signal } from "../home-on-host.ts";
import { Random } from "./random.ts";
import { RelayProcess } from "./relay-process.ts";

const TOKEN = "7:real-token-AAE";
const KEY = "relay-key";
const CHATS = 20;
const TOTAL = Number(process.env["AEGIS_TEST_MESSAGES"] ?? 2000);
const SEED = Number(process.env["AEGIS_TEST_SEED"] ?? Date.now() % 1_000_000);
/** of messages that come before something goes wrong */
const BATCH = 40;
/** unanswered ones that are let pile up */
const BACKLOG = 200;

let aegis: Aegis;
let telegram: BotApiDouble;
let relay: RelayProcess;
let relayState: string;
let botId: string;
const random = new Random(SEED);
const asked = new Map<number, string[]>();
/** what went wrong, and when */
const cuts: { what: string; at: number }[] = [];
/** Nobody can know whether the message was sent when one of these comes between Telegram's yes and the relay's note of it. */
const blinding = ["relay killed", "network gone"];

const answeredTexts = () => new Set(telegram.messages.map(({ text }) => text));
const answeredAll = (missing: number) =>
  telegram.until(() => answeredTexts().size >= total() - missing, 120_000).catch(explain);
/** What is known when it goes on no more. */
async function explain(error: unknown): Promise<never> {
  const missing = [...asked.values()].flat().filter((text) => !answeredTexts().has(text.replace("q", "a")));
  const { state, failure, power_history } = await aegis.client.instances.get(botId);
  const bot = JSON.stringify({ state, failure, history: power_history?.slice(-5) });
  const waits = `${missing.length} without an answer, such as ${missing.slice(0, 5).join(" ")}`;
  throw new Error(`${waits}; ${telegram.waiting} at Telegram; bot ${bot}; relay: ${relay.lines.slice(-8).join("\n")}`, {
    cause: error,
  });
}

const total = () => [...asked.values()].reduce((sum, questions) => sum + questions.length, 0);

function ask(): void {
  const chat = 100 + random.below(CHATS);
  const text = `q${total()}`;
  asked.set(chat, [...(asked.get(chat) ?? []), text]);
  telegram.say(text, chat);
}

/** Its process on the host, which no other test's bot has: the home is its argument. */
function botPid(): number | null {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      if (words[1] === "/workspace/bot.ts" && words[2] === aegis.home) return Number(name);
    } catch (error) {
      // it has ended in between
      if (!(error instanceof Error)) throw error;
    }
  }
  return null;
}

const nap = () => delay(100 + random.below(700));

/** The API may refuse: the bot is on its way up or down. */
async function tried(call: () => Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
  }
}

const mishaps: Record<string, () => Promise<void>> = {
  // by force: in the middle of its answers
  "bot paused": async () => {
    await tried(() => aegis.client.instances.pause(botId, { force: true }));
    await nap();
    await tried(() => aegis.client.instances.resume(botId));
  },
  "bot stopped": async () => {
    await tried(() => aegis.client.instances.stop(botId));
    await nap();
    await tried(() => aegis.client.instances.start(botId));
  },
  "bot killed": async () => {
    const pid = botPid();
    if (pid !== null) signal(pid, "SIGKILL");
  },
  "relay killed": async () => {
    await relay.kill9();
    await nap();
    await relay.start();
  },
  "relay frozen": async () => {
    relay.freeze();
    await nap();
    relay.thaw();
  },
  "aegisd killed": async () => {
    await aegis.kill9();
    await nap();
    await aegis.start();
  },
  "aegisd restarted": () => aegis.restart(),
  "aegisd frozen": async () => {
    const { pid } = await aegis.client.status();
    process.kill(pid, "SIGSTOP");
    await nap();
    process.kill(pid, "SIGCONT");
  },
  "Telegram: slow down": async () => {
    for (const method of ["sendMessage", "getUpdates"])
      telegram.failNext(method, { status: 429, description: "Too Many Requests", retryAfterS: 1 }, 3);
  },
  "Telegram: broken": async () => {
    for (const method of ["sendMessage", "getUpdates"]) telegram.failNext(method, { status: 502 }, 3);
  },
  "Telegram: cut off": async () => {
    for (const method of ["sendMessage", "getUpdates"]) telegram.failNext(method, "drop", 3);
  },
  "Telegram: another poller": async () => {
    telegram.failNext("getUpdates", { status: 409, description: "Conflict: terminated by other getUpdates request" });
  },
  "network gone": async () => {
    await telegram.offline();
    await nap();
    await telegram.online();
  },
  "answer lost": async () => telegram.failNext("sendMessage", "lose-answer"),
};

/** Those that were sent again, each with what came between. */
function repeated(): { text: string; why: string[] }[] {
  const first = new Map<string, number>();
  const found: { text: string; why: string[] }[] = [];
  for (const { text, at } of telegram.messages) {
    const before = first.get(text);
    first.set(text, at);
    if (before === undefined) continue;
    const lost = telegram.lostAnswers.some((call) => call["text"] === text) ? ["answer lost"] : [];
    // it may have begun a little before, and hit the message on its way
    const between = cuts.filter((cut) => blinding.includes(cut.what) && cut.at >= before - 2000 && cut.at <= at);
    found.push({ text, why: [...lost, ...between.map(({ what }) => what)] });
  }
  return found;
}

describe.runIf(hasWorkspaces)(`${TOTAL} messages of ${CHATS} chats while everything dies (seed ${SEED})`, () => {
  beforeAll(async () => {
    telegram = await startBotApiDouble({ token: TOKEN });
    aegis = await startAegis({ images: ["node"] });
    relayState = mkdtempSync(join(tmpdir(), "relay-storm-"));
    const folder = join(aegis.home, "data/workspaces/storm");
    mkdirSync(folder, { recursive: true });
    await cp(fileURLToPath(new URL("answering-bot.ts", import.meta.url)), join(folder, "bot.ts"));
    const port = await freePort();
    await aegis.client.secrets.put("relay-key", KEY);
    const { id, endpoints } = await aegis.boot({
      image_ref: IMAGES.node,
      command: ["node", "/workspace/bot.ts", aegis.home],
      workspace: "storm",
      restart: "always",
      pause_after_idle_s: 1,
      stop_after_paused_s: 3,
      pause_hook: { http: { port: 8787, path: "/may-sleep" } },
      exposes: [{ port: 8787, protocol: "tcp" }],
      bindings: [
        {
          name: "telegram",
          port: 8081,
          upstream: `http://127.0.0.1:${port}`,
          headers: { "x-aegis-relay-key": "${secret:relay-key}" },
        },
      ],
    });
    botId = id;
    relay = new RelayProcess({
      upstream: { kind: "telegram", token: TOKEN, apiRoot: telegram.url, retryMs: { first: 50, longest: 1000 } },
      stateDir: relayState,
      botApi: { host: "127.0.0.1", port },
      relayKey: KEY,
      botToken: "1:aegis",
      webhook: { url: `http://127.0.0.1:${endpoints[0]?.public_port}/telegram-webhook`, secret: "hook" },
    });
    await relay.start();
  });

  afterAll(async () => {
    relay?.thaw();
    await relay?.kill9();
    await aegis?.stop();
    await telegram?.close();
    rmSync(relayState, { recursive: true, force: true });
  });

  it(
    "loses none, keeps the order of each chat, and repeats only what was cut off",
    { timeout: 3_600_000 },
    async () => {
      const counts = new Map<string, number>();
      const began = Date.now();
      while (total() < TOTAL) {
        for (let n = 0; n < Math.min(BATCH, TOTAL - total()); n++) ask();
        const what = random.pick(Object.keys(mishaps)) ?? "";
        counts.set(what, (counts.get(what) ?? 0) + 1);
        cuts.push({ what, at: Date.now() });
        await mishaps[what]?.();
        await answeredAll(BACKLOG);
      }
      await tried(() => aegis.client.instances.resume(botId));
      await answeredAll(0);
      const twice = repeated();
      console.log(
        `${total()} messages in ${Math.round((Date.now() - began) / 1000)} s, seed ${SEED}; ` +
          `${JSON.stringify(Object.fromEntries(counts))}; answered twice: ${JSON.stringify(twice)}; ` +
          `repetitions that the relay kept back: ${relay.lines.filter((line) => line.includes("not sent again")).length}`,
      );
      for (const [chat, questions] of asked) {
        const answers = telegram.messages.filter(({ chatId }) => chatId === chat).map(({ text }) => text);
        expect([...new Set(answers)]).toEqual(questions.map((text) => text.replace("q", "a")));
      }
      expect(twice.filter(({ why }) => why.length === 0)).toEqual([]);
      // with twenty chats at once each kill may hit several messages on their way
      expect(twice.length).toBeLessThanOrEqual(TOTAL / 50);
      expect(telegram.strangers).toBe(0);
    },
  );
});
