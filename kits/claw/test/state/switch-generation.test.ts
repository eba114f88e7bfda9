import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import type { InstanceView } from "@aegis/protocol/instance";
import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import type { Change } from "../../src/state/change.ts";
import { isNewer } from "../../src/state/is-newer.ts";
import { respecified, switchGeneration } from "../../src/state/switch-generation.ts";
import { UpProgress } from "../../src/up-progress.ts";
import { lastUpState, openUpState, otherWorkspace, saveUpState } from "../../src/up-state.ts";

const SPEC = {
  image_ref: "aegis/claw:1",
  workspace: "claw-bot",
  env: { CLAW_CONFIG: JSON.stringify({ work: { image: "aegis/claw:1" }, text: "not aegis/claw:1 alone" }) },
};
const NEXT = { generation: { openclaw: "2026.10.1", workspace: "claw-bot-2" }, image: "aegis/claw:2" };

let daemon: FakeDaemon;
let change: Change;
/** what the bot does once it runs with the new spec */
let comesUp: boolean;
let specs: unknown[];
/** it is found down, to be started again at these times, before it comes up */
let restarts: string[];

beforeEach(async () => {
  const folder = mkdtempSync(join(tmpdir(), "generation-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  specs = [];
  comesUp = true;
  restarts = [];
  const down = () => ({ state: "stopped", restart_at: restarts.shift() ?? null });
  const bot = () => ({
    body: { id: "inst-1", handle: "claw-bot", ...(comesUp && restarts.length === 0 ? { state: "running" } : down()) },
  });
  daemon = await FakeDaemon.start({
    "GET /v1/instances/inst-1": bot,
    "PUT /v1/instances/inst-1": ({ body }) => {
      specs.push(body);
      return bot();
    },
    "POST /v1/instances/inst-1/start": bot,
    "POST /v1/instances/inst-1/exec": () => ({
      write: (response) => void response.end(`${JSON.stringify({ exec_id: "e", exit_code: 0, done: true })}\n`),
    }),
    "GET /v1/instances/inst-1/logs": () => ({
      write: (response) => void response.end(`${JSON.stringify({ ts: "", stream: "stdout", line: "no such key" })}\n`),
    }),
  });
  onTestFinished(() => daemon.close());
  const state = await openUpState(folder);
  saveUpState(folder, Object.assign(state, { bot: SPEC }));
  change = {
    client: daemon.client,
    folder,
    state,
    bot: { id: "inst-1" } as InstanceView,
    progress: new UpProgress(new Writable()),
    signal: new AbortController().signal,
  };
});

test("the bot gets the image and the workspace, and what it had is kept for the way back", async () => {
  const before = change.state.generation;
  await switchGeneration(change, NEXT, before);
  expect(specs).toEqual([expect.objectContaining({ image_ref: "aegis/claw:2", workspace: "claw-bot-2" })]);
  expect(lastUpState(change.folder)).toMatchObject({ generation: NEXT.generation, previous: before });
  expect(otherWorkspace(change.state)).toBe("claw-bot");
});

test("a bot whose first start fails, as OpenClaw's does on a busy machine, is waited for", async () => {
  restarts = Array.from({ length: 3 }, () => new Date().toISOString());
  await switchGeneration(change, NEXT, change.state.generation);
  expect(lastUpState(change.folder)).toMatchObject({ generation: NEXT.generation });
});

test("a bot that does not come up gets back what it had, with the end of its log as the reason", async () => {
  const before = lastUpState(change.folder);
  comesUp = false;
  await expect(switchGeneration(change, NEXT, change.state.generation)).rejects.toThrow(
    /put back as it was[\s\S]*no such key/,
  );
  expect(specs.at(-1)).toEqual(SPEC);
  expect(lastUpState(change.folder)).toEqual(before);
});

test("work instances follow to the new image, and nothing else that looks like it", () => {
  const config: unknown = JSON.parse(respecified(SPEC, "aegis/claw:2", "w").env?.["CLAW_CONFIG"] ?? "");
  expect(config).toEqual({ work: { image: "aegis/claw:2" }, text: "not aegis/claw:1 alone" });
});

test("without a bot there is nothing to change", () => {
  expect(() => lastUpState("/nowhere")).toThrow(/aegis kit up claw/);
});

test.each([
  ["2026.9.6", "2026.9.6", false],
  ["2026.10.1", "2026.9.6", true],
  ["2026.9.6", "2026.10.1", false],
  ["2026.9.6.1", "2026.9.6", true],
])("%s is newer than %s: %s", (version, than, newer) => {
  expect(isNewer(version, than)).toBe(newer);
});
