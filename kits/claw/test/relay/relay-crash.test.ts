import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type BotApiDouble, startBotApiDouble } from "../../../../tests/e2e/bot-api-double.ts";
import { textOf } from "./bot-double.ts";
import { hookSecret, realToken, RelayFixture, relayKey } from "./relay-fixture.ts";

let telegram: BotApiDouble;
let fixture: RelayFixture;
let child: ChildProcess | undefined;

beforeEach(async () => {
  telegram = await startBotApiDouble({ token: realToken });
  fixture = await new RelayFixture().prepare();
});

afterEach(async () => {
  await kill();
  await fixture[Symbol.asyncDispose]();
  await telegram.close();
});

async function spawnRelay(): Promise<string> {
  const started = spawn(process.execPath, [fileURLToPath(new URL("relay-child.ts", import.meta.url))]);
  child = started;
  let said = "";
  started.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  started.stdin.end(
    JSON.stringify({
      upstream: { kind: "telegram", token: realToken, apiRoot: telegram.url },
      stateDir: fixture.stateDir,
      botApi: { host: "127.0.0.1", port: 0 },
      relayKey,
      botToken: "1:aegis",
      webhook: { url: fixture.bot.url, secret: hookSecret },
    }),
  );
  const [first] = await Promise.race([once(started.stdout, "data"), once(started, "exit")]);
  return `${first}${said}`;
}

async function kill(): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

test("a relay that is killed again and again loses nothing, keeps the order, and repeats at most what was on its way", async () => {
  const sent: string[] = [];
  for (let round = 0; round < 4; round++) {
    expect(await spawnRelay()).toContain("ready");
    for (let n = 0; n < 5; n++) {
      sent.push(`m${sent.length}`);
      telegram.say(sent.at(-1) ?? "");
    }
    const enough = round * 5 + 3;
    await fixture.bot.until(() => new Set(fixture.bot.accepted.map(textOf)).size >= enough);
    await kill();
  }
  await spawnRelay();
  await fixture.bot.until(() => new Set(fixture.bot.accepted.map(textOf)).size === sent.length);
  const first = [...new Set(fixture.bot.accepted.map(textOf))];
  expect(first).toEqual(sent);
  expect(fixture.bot.accepted.length - sent.length).toBeLessThanOrEqual(4);
});
