import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureBot } from "../../src/up-bot.ts";
import { openUpState } from "../../src/up-state.ts";

let folder: string;
let daemon: FakeDaemon;
let exists: boolean;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "up-bot-"));
  exists = false;
  const bot = { id: "inst-1", handle: "claw-bot", state: "starting", endpoints: [] };
  const lookup = () =>
    exists ? { body: bot } : { status: 404, body: { error: "There is no claw-bot.", code: "instance_not_found" } };
  daemon = await FakeDaemon.start({
    "GET /v1/instances/claw-bot": lookup,
    "GET /v1/instances/inst-1": lookup,
    "POST /v1/instances": () => {
      exists = true;
      return { status: 201, body: bot };
    },
    "POST /v1/instances/inst-1/start": () => ({ body: {} }),
    "PUT /v1/instances/inst-1": () => ({ body: bot }),
  });
});
afterEach(async () => {
  await daemon.close();
  rmSync(folder, { recursive: true, force: true });
});

const changes = () =>
  daemon.calls.filter(({ method }) => method !== "GET").map(({ method, path }) => `${method} ${path}`);

describe("the bot instance", () => {
  it("is made once, then started again, and gets another spec without losing its work instances", async () => {
    const spec = { handle: "claw-bot", command: ["a"] };
    await ensureBot(daemon.client, spec, await openUpState(folder), folder);
    expect(changes()).toEqual(["POST /v1/instances"]);
    await ensureBot(daemon.client, spec, await openUpState(folder), folder);
    expect(changes().slice(1)).toEqual(["POST /v1/instances/inst-1/start"]);
    await ensureBot(daemon.client, { ...spec, command: ["b"] }, await openUpState(folder), folder);
    expect(changes().slice(2)).toEqual(["PUT /v1/instances/inst-1", "POST /v1/instances/inst-1/start"]);
  });
});

describe("the state", () => {
  it("is the same at the next start", async () => {
    const state = await openUpState(folder);
    expect(await openUpState(folder)).toEqual(state);
    expect(state.relayKey).not.toBe(state.webhookSecret);
  });

  it("gives up a port that somebody else has now", async () => {
    const state = await openUpState(folder);
    const other = createServer().listen(state.relayPort, "127.0.0.1");
    await once(other, "listening");
    const next = await openUpState(folder);
    other.close();
    expect(next.relayPort).not.toBe(state.relayPort);
    expect(next).toMatchObject({ modelPort: state.modelPort, relayKey: state.relayKey });
  });
});
