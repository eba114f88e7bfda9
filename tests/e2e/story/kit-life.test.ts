import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import { type BotApiDouble, startBotApiDouble } from "../bot-api-double.ts";
import { Canary, processesOf } from "../canary.ts";
import { textOf } from "../home-on-host.ts";
import { KeyedModel } from "../keyed-model.ts";
import { KitFixture } from "../kit-fixture.ts";

/** in both keys, at the same place of a base64 triple, so that one search finds either */
const canary = new Canary();
const TOKEN = `42421:${canary.value}`;
const KEY = `sk-${canary.value}`;
const kit = new KitFixture();
const folder = mkdtempSync("/tmp/aegis-kit-life-");
let telegram: BotApiDouble;
let model: KeyedModel;

const message = (pattern: RegExp) => telegram.waitForMessage(({ text }) => pattern.test(text), 120_000);
const secretFile = (name: string, value: string): string => {
  writeFileSync(join(folder, name), value, { mode: 0o600 });
  return join(folder, name);
};

async function logOf(id: string): Promise<string> {
  const lines: string[] = [];
  for await (const { line } of kit.client.instances.logs(id)) lines.push(line);
  return lines.join("\n");
}

/** From nothing to a bot that answers, with keys that are nowhere but on the host. Each step goes on from the one before. */
describe("the life of a kit", { timeout: 240_000 }, () => {
  beforeAll(async () => {
    telegram = await startBotApiDouble({ token: TOKEN });
    model = await KeyedModel.start(KEY);
  });

  afterAll(async () => {
    const left = await kit.remove();
    await telegram?.close();
    await model?.close();
    rmSync(folder, { recursive: true });
    expect(left).toEqual([]);
  }, 120_000);

  it("is set up without a question, and says where it is", async () => {
    const telegramOptions = ["--token-file", secretFile("token", TOKEN), "--allow-from", "42"];
    const modelOptions = ["--llm", "openai-compatible", "--base-url", model.url, "--model", "demo"];
    const { code, output } = await kit.cli(
      ["kit", "setup", "claw", "--yes", ...telegramOptions, ...modelOptions, "--key-file", secretFile("key", KEY)],
      { TELEGRAM_API_ROOT: telegram.url },
    );
    expect([code, output]).toEqual([0, expect.stringMatching(/test_bot|@\w+ answers/)]);
    expect(readFileSync(join(kit.home, "claw/settings.env"), "utf8")).not.toContain(KEY);
    expect((await kit.cli(["kit", "status", "claw"])).code).toBe(1);
  });

  it("answers, and starts work", async () => {
    await kit.start("Chat");
    telegram.say("build me a website about lobsters");
    await message(/http:\/\/127\.0\.0\.1:\d+/);
    expect(model.served).toBeGreaterThan(2);
    expect(model.refused).toBe(0);
  });

  it("says in five lines that all is well", async () => {
    const { code, output } = await kit.cli(["kit", "status", "claw"]);
    expect([code, output.trim().split("\n").length]).toEqual([0, 5]);
  });

  it.each(["claw-bot", "work-1"])("keeps the keys out of %s: memory, environment, disk and log", async (handle) => {
    // asleep: whatever it had in memory is still there
    const { id, workspace } = await waitForInstance(kit.client, handle, ({ state }) => state !== "starting");
    const pids = processesOf(id);
    expect(pids.length).toBeGreaterThan(1);
    expect(pids.filter((pid) => canary.isInMemoryOf(pid))).toEqual([]);
    const environments = pids.map((pid) => textOf(`/proc/${pid}/environ`)).filter((text) => text !== "");
    expect(environments.length).toBeGreaterThan(0);
    expect(environments.filter((text) => canary.isIn(text))).toEqual([]);
    for (const place of ["instances", `workspaces/${workspace ?? ""}`])
      expect(canary.inFolder(join(kit.home, "data", place))).toEqual([]);
    expect(await logOf(id)).not.toContain(canary.value);
  });

  it("would have found them", () => {
    const { pid } = JSON.parse(readFileSync(join(kit.home, "claw/up.pid"), "utf8")) as { pid: number };
    expect(canary.isInMemoryOf(pid)).toBe(true);
  });
  const file = join(folder, "bot.tar.gz");
  const botOf = () => kit.client.instances.get("claw-bot");
  const knowsItsWork = async () => {
    const seen = telegram.messages.length;
    telegram.say("what is running");
    await telegram.waitForMessage(
      (said) => telegram.messages.indexOf(said) >= seen && /work-1/.test(said.text),
      120_000,
    );
  };

  it("is backed up into a file of its owner's, and over no other file", async () => {
    const made = await kit.cli(["kit", "backup", "claw", file]);
    expect([made.code, made.output]).toEqual([0, expect.stringContaining("KB")]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = await kit.cli(["kit", "backup", "claw", file]);
    expect([again.code, again.output]).toEqual([1, expect.stringContaining("is there already")]);
  });

  it("is upgraded on a copy of its state by OpenClaw's own doctor, and knows what it knew", async () => {
    const { code, output } = await kit.cli(["kit", "upgrade", "claw", "--again"]);
    expect([code, output]).toEqual([0, expect.stringContaining("rollback")]);
    expect((await botOf()).workspace).toBe("claw-bot-2");
    await knowsItsWork();
  });

  it("goes back", async () => {
    const { code, output } = await kit.cli(["kit", "rollback", "claw"]);
    expect([code, output]).toEqual([0, expect.stringContaining("OpenClaw")]);
    expect((await botOf()).workspace).toBe("claw-bot");
  });

  it("is not restored by accident, nor from half a backup", async () => {
    expect((await kit.cli(["kit", "restore", "claw", file])).output).toContain("--replace");
    const half = join(folder, "half.tar.gz");
    writeFileSync(half, readFileSync(file).subarray(0, 20_000));
    const { code, output } = await kit.cli(["kit", "restore", "claw", half, "--replace"]);
    expect([code, output]).toEqual([1, expect.stringContaining("not all of it")]);
    expect((await botOf()).workspace).toBe("claw-bot");
  });

  it("is restored", async () => {
    const { code, output } = await kit.cli(["kit", "restore", "claw", file, "--replace"]);
    expect([code, output]).toEqual([0, expect.stringContaining("rollback")]);
    expect((await botOf()).workspace).toBe("claw-bot-2");
    await knowsItsWork();
    expect((await kit.client.instances.list()).map(({ handle }) => handle).toSorted()).toEqual(["claw-bot", "work-1"]);
  });

  it("tells of a key that was revoked: in the chat, in the log and in the status", async () => {
    model.revoked = true;
    telegram.say("hello");
    await message(/authentication|API key|401/i);
    await expect.poll(() => logOf("claw-bot")).toMatch(/rawError=.*Incorrect API key/);
    expect((await kit.cli(["kit", "status", "claw"])).output).toMatch(/errors .*refuses the key/);
  });
});
