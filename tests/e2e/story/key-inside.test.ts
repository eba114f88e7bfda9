import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BotApiDouble, startBotApiDouble } from "../bot-api-double.ts";
import { Canary, processesOf } from "../canary.ts";
import { textOf } from "../home-on-host.ts";
import { KeyedModel } from "../keyed-model.ts";
import { KitFixture } from "../kit-fixture.ts";

const TOKEN = "4242:a-token-of-the-double-alone";
let key = new Canary();
let telegram: BotApiDouble;
let model: KeyedModel;
let kit: KitFixture;

async function answered(): Promise<void> {
  const seen = telegram.messages.length;
  telegram.say("hello");
  await telegram.waitForMessage(
    (said) => telegram.messages.indexOf(said) >= seen && /demo model/.test(said.text),
    120_000,
  );
}

/** Each step goes on from the one before. */
describe("a bot that has its model's key, as the settings want", { timeout: 240_000 }, () => {
  beforeAll(async () => {
    telegram = await startBotApiDouble({ token: TOKEN });
    model = await KeyedModel.start(key.value);
    kit = new KitFixture({
      TELEGRAM_BOT_TOKEN: TOKEN,
      TELEGRAM_API_ROOT: telegram.url,
      TELEGRAM_ALLOW_FROM: "42",
      OPENAI_BASE_URL: model.url,
      OPENAI_API_KEY: key.value,
      OPENAI_MODEL: "demo",
      CLAW_AUTH: "file",
    });
    await kit.start("Chat");
  }, 900_000);

  afterAll(async () => {
    const left = await kit?.remove();
    await telegram?.close();
    await model?.close();
    expect(left).toEqual([]);
  }, 120_000);

  it("answers with it: a file of the gateway's alone, no part of its state and not in its environment", async () => {
    await answered();
    const { id, workspace } = await kit.client.instances.get("claw-bot");
    const found: string[] = [];
    const command = ["sh", "-c", "stat -c '%a %n' /tmp/openclaw/llm-key; cat /tmp/openclaw/llm-key"];
    for await (const step of kit.client.instances.exec(id, { command })) if ("line" in step) found.push(step.line);
    expect(found).toEqual(["600 /tmp/openclaw/llm-key", key.value]);
    expect(key.inFolder(`${kit.home}/data/workspaces/${workspace ?? ""}`)).toEqual([]);
    const environments = processesOf(id).map((pid) => textOf(`/proc/${pid}/environ`));
    const ofOpenClaw = environments.filter((text) => text.includes("openclaw"));
    expect(ofOpenClaw.length).toBeGreaterThan(0);
    expect(ofOpenClaw.filter((text) => key.isIn(text))).toEqual([]);
  });

  it("goes on with a new key as soon as the secret has changed", async () => {
    key = new Canary();
    model.key = key.value;
    const restarted = kit.hasBeen("claw-bot", Date.now(), ({ state }) => state === "starting");
    await kit.client.secrets.put("claw-llm-key", key.value);
    await restarted;
    await answered();
    expect(model.refused).toBe(0);
  });
});
