import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InstanceState } from "@aegis/protocol/instance";
import type { BotApiDouble } from "../bot-api-double.ts";
import type { KitFixture } from "../kit-fixture.ts";
import { telegramKit, type TelegramKit } from "../telegram-kit.ts";

let setup: TelegramKit;
let telegram: BotApiDouble;
let kit: KitFixture;
let siteUrl: string;

const state = (wanted: InstanceState) => kit.reaches("work-1", wanted);
const message = (pattern: RegExp) => telegram.waitForMessage(({ text }) => pattern.test(text), 120_000);

const openSite = async () => (await fetch(siteUrl)).text();

/** Each step goes on from the one before. */
describe("the story, over Telegram", { timeout: 180_000 }, () => {
  beforeAll(async () => {
    setup = await telegramKit({ people: [42], model: null });
    ({ telegram, kit } = setup);
    await kit.start("Chat", "--idle", "8");
  }, 900_000);

  afterAll(() => setup?.end(), 120_000);

  it("wakes the bot that had gone to sleep and starts the work", async () => {
    await kit.reaches("claw-bot", "paused");
    telegram.say("build me a website about lobsters");
    await message(/I have started a work instance/);
    expect(await kit.aegis("instance", "list")).toEqual(
      expect.arrayContaining([expect.objectContaining({ handle: "work-1" })]),
    );
  });

  it("reports progress and sends a link that opens", async () => {
    await message(/wrote index\.html/);
    const { text } = await message(/http:\/\/127\.0\.0\.1:\d+/);
    siteUrl = /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0] ?? "";
    expect(await openSite()).toMatch(/lobster/i);
  });

  it("shows the logs, pauses when idle, wakes, boots after a stop", async () => {
    telegram.say("show me the logs");
    await message(/serving \/workspace\/site on port 8080/);
    await state("paused");
    expect(await openSite()).toMatch(/lobster/i);
    await kit.aegis("instance", "stop", "work-1");
    expect(await openSite()).toMatch(/lobster/i);
    expect((await kit.client.instances.get("work-1")).state).toBe("running");
  });

  it("stops it when told to", async () => {
    telegram.say("stop it");
    expect(await state("stopped")).toMatchObject({ failure: null });
  });

  it("lets nobody else in", async () => {
    const update = telegram.say("build me a website about spies", 666);
    await telegram.waitUntilConfirmed(update, 60_000);
    expect((await kit.client.instances.list()).map(({ handle }) => handle).toSorted()).toEqual(["claw-bot", "work-1"]);
  });

  it("keeps the real token out of the bot", async () => {
    const search =
      "grep -rlF canary-of-the-real /proc/[0-9]*/environ /proc/[0-9]*/cmdline /workspace /tmp /etc /opt /run 2>/dev/null; true";
    const found = (await kit.printed("claw-bot", ["sh", "-c", search])).split("\n");
    // the search itself names what it looks for
    expect(found.filter((file) => file !== "" && !file.startsWith("/proc/"))).toEqual([]);
    expect(kit.output.join("\n")).not.toContain("canary");
  });
});
