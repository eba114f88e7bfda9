import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  type RemoteCommand,
  sandboxBackend,
  sandboxedCall,
  type SandboxSdk,
} from "../../guest/plugin/sandbox-backend.ts";
import { SandboxDesk } from "../../guest/plugin/sandbox-desk.ts";
import { SandboxStore } from "../../guest/plugin/sandbox-store.ts";
import { workDefaults } from "../../src/work-defaults.ts";
import { GuestApiDouble } from "./guest-api-double.ts";

const CHAT = "agent:main:telegram:direct:42";

class Retired extends Error {
  readonly runtimeId: string;

  constructor(runtimeId: string) {
    super(runtimeId);
    this.runtimeId = runtimeId;
  }
}

interface Session {
  buildCommand: (command: RemoteCommand) => { argv: string[]; env: Record<string, string> };
}

/** OpenClaw's side hands back what it is given. */
const sdk: SandboxSdk = {
  registerSandboxBackend: () => () => undefined,
  createRemoteShellSandboxBackend: (_params, options) => Promise.resolve(options),
  createRemoteShellSandboxSession: (options) => options,
  SandboxRuntimeRetiredError: Retired,
};

async function fixture() {
  const folder = mkdtempSync(join(tmpdir(), "claw-sandbox-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "state", "sandboxes.json");
  const { double, api } = await GuestApiDouble.start();
  /** One life of the gateway. */
  const boot = () => {
    const desk = new SandboxDesk(api, new SandboxStore(file), { image: "claw", ...workDefaults });
    const registration = sandboxBackend(sdk, () => desk);
    const backend = async (runtimeId: string) =>
      (await registration.factory({ scopeKey: CHAT, runtimeId, assertRuntimeCurrent: () => undefined })) as {
        createSession: () => Promise<Session>;
      };
    return { desk, registration, backend };
  };
  return { double, boot, file };
}

test("a handle tells whose sandbox it is, fits what the host takes, and is never the same twice", async () => {
  const { desk } = (await fixture()).boot();
  expect(desk.mint(CHAT)).toMatch(/^sandbox-telegram-direct-42-[0-9a-f]{8}$/);
  expect(desk.mint(CHAT)).not.toBe(desk.mint(CHAT));
  expect(desk.mint(`agent:main:${"ä/".repeat(200)}x`)).toMatch(/^sandbox-[a-z0-9-]{1,55}$/);
  expect(desk.mint("::")).toMatch(/^sandbox-[0-9a-f]{8}$/);
});

test("it is made by the first command, not by a turn: without keys, ports or the bot's files", async () => {
  const { double, boot } = await fixture();
  const { backend, desk } = boot();
  const handle = desk.mint(CHAT);
  const made = await backend(handle);
  expect(double.spawned).toEqual([]);
  const [one, two] = await Promise.all([made.createSession(), made.createSession()]);
  expect(double.spawned).toHaveLength(1);
  expect(double.spawned[0]).toEqual({
    handle,
    image_ref: "claw",
    workspace: handle,
    command: ["sleep", "infinity"],
    memory_mb: 512,
    vcpus: 1,
    pause_after_idle_s: 60,
    stop_after_paused_s: 300,
  });
  const { argv, env } = one?.buildCommand({ remoteCommand: "echo 'a b'" }) ?? {};
  expect(argv).toEqual(["aegis-guest", "exec", "-i", "inst-1", "--", "/bin/sh", "-c", "echo 'a b'"]);
  expect(Object.keys(env ?? {})).toEqual(["PATH"]);
  expect(two?.buildCommand({ remoteCommand: "x", tty: true }).argv.slice(5, 7)).toEqual(["python3", "-c"]);
});

test("the next life of the bot finds it again, and starts it when it was stopped", async () => {
  const { double, boot } = await fixture();
  const handle = boot().desk.mint(CHAT);
  const id = await boot().desk.ready(handle);
  double.child(handle).state = "stopped";
  const { desk, registration } = boot();
  const entry = { containerName: handle, image: "aegis" };
  expect(await registration.manager.describeRuntime({ entry })).toMatchObject({ running: false });
  expect(await desk.ready(handle)).toBe(id);
  expect(double.calls).toContain(`POST /v1/instances/${id}/start`);
  expect(await registration.manager.describeRuntime({ entry })).toMatchObject({
    running: true,
    configLabelMatch: true,
  });
  expect(double.spawned).toHaveLength(1);
});

test("one that was deleted is given up once it is surely gone; one that never was is not", async () => {
  const { double, boot } = await fixture();
  const { desk, backend } = boot();
  const handle = desk.mint(CHAT);
  const made = await backend(handle);
  await made.createSession();
  double.children.length = 0;
  await expect(made.createSession()).rejects.toThrow("was deleted");
  await expect(backend(handle)).rejects.toMatchObject({ runtimeId: handle });
  await expect(backend(desk.mint(CHAT))).resolves.toBeDefined();
});

test("a refusal of the host is the tool's error, and the sandbox is made when there is room", async () => {
  const { double, boot } = await fixture();
  const { desk } = boot();
  const handle = desk.mint(CHAT);
  double.refusal = { status: 422, body: { error: "16 children is all it may have", code: "capability_refused" } };
  await expect(desk.ready(handle)).rejects.toThrow("16 children");
  expect(await desk.isGone(handle)).toBe(false);
  expect(await desk.ready(handle)).toBe("inst-1");
});

test("what OpenClaw clears away is deleted, nothing but sandboxes, and twice is no trouble", async () => {
  const { double, boot, file } = await fixture();
  const { desk, registration } = boot();
  const handle = desk.mint(CHAT);
  await desk.ready(handle);
  await registration.manager.removeRuntime({ entry: { containerName: "work-1", image: "aegis" } });
  expect(double.children).toHaveLength(1);
  const entry = { containerName: handle, image: "aegis" };
  await registration.manager.removeRuntime({ entry });
  await registration.manager.removeRuntime({ entry });
  expect(double.children).toEqual([]);
  await expect(desk.ready("work-1")).rejects.toThrow("no sandbox");
  writeFileSync(file, "broken");
  expect(await boot().desk.isGone(handle)).toBe(false);
});

test("a command is for the sandbox, wherever the model wants it; other tools are left alone", () => {
  const params = { command: "id", host: "gateway", elevated: true };
  expect(sandboxedCall({ toolName: "exec", params })).toEqual({
    params: { command: "id", host: "sandbox", elevated: false },
  });
  expect(sandboxedCall({ toolName: "work_exec", params })).toBeUndefined();
});
