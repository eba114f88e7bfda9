import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  sandboxBackend,
  sandboxedCall,
  type SandboxRegistration,
  type SandboxSdk,
} from "../../guest/plugin/sandbox-backend.ts";
import { SandboxDesk } from "../../guest/plugin/sandbox-desk.ts";
import type { FilesBridge } from "../../guest/plugin/sandbox-files.ts";
import type { SandboxSession } from "../../guest/plugin/sandbox-session.ts";
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

/** It is asked for nothing as long as there is no sandbox to ask. */
const openClawFiles = {
  pathMappings: [],
  resolvePath: ({ filePath }: { filePath: string }) => ({ containerPath: filePath }),
  stat: ({ filePath }: { filePath: string }) => Promise.reject(new Error(`OpenClaw's own way to ${filePath}`)),
} as unknown as FilesBridge;

/** OpenClaw's side hands back what it is given. */
const sdk: SandboxSdk = {
  registerSandboxBackend: () => () => undefined,
  createRemoteShellSandboxBackend: (_params, options) =>
    Promise.resolve({
      ...options,
      validateWorkdir: (path: string) => Promise.resolve(`checked ${path}`),
      createFsBridge: () => openClawFiles,
    }),
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
    const registration = sandboxBackend(sdk, "http://127.0.0.1:1", () => desk);
    const backend = async (runtimeId: string) =>
      (await registration.factory({
        scopeKey: CHAT,
        runtimeId,
        workspaceDir: "/nowhere",
        assertRuntimeCurrent: () => undefined,
      })) as Awaited<ReturnType<SandboxRegistration["factory"]>> & { createSession: () => Promise<SandboxSession> };
    return { desk, registration, backend };
  };
  return { double, boot, file };
}

test("a handle tells whose sandbox it is, fits what the host takes, and is never the same twice", async () => {
  const { desk } = (await fixture()).boot();
  expect(desk.mint(CHAT)).toMatch(/^sandbox-telegram-direct-42-[0-9a-f]{8}$/);
  expect(desk.mint(`${CHAT}:workspace:0a1b2c3d4e5f`)).toMatch(/^sandbox-telegram-direct-42-[0-9a-f]{8}$/);
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
  expect(await made.validateWorkdir("/workspace")).toBe("/workspace");
  expect(await made.validateWorkdir("/workspace/a")).toBe("checked /workspace/a");
  for (const session of [one, two])
    expect((await session?.prepareExec({ remoteCommand: "true", env: {} }))?.argv).toContain("inst-1");
});

test("files are OpenClaw's to get at where there is no sandbox yet, or where it may not write", async () => {
  const { double, boot } = await fixture();
  const { backend, desk } = boot();
  const made = await backend(desk.mint(CHAT));
  expect(made.createFsBridge({ sandbox: { workspaceAccess: "ro" } })).toBe(openClawFiles);
  const files = made.createFsBridge({ sandbox: { workspaceAccess: "rw" } });
  expect(files).not.toBe(openClawFiles);
  await expect(files.stat({ filePath: "/workspace/a" })).rejects.toThrow("own way to /workspace/a");
  expect(double.spawned).toEqual([]);
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
  const session = await made.createSession();
  await expect(session.prepareExec({ remoteCommand: "true", env: {} })).rejects.toThrow("was deleted");
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

test("the ninth chat takes the place of the one that slept longest, which gets its workspace back when it is used again", async () => {
  const { double, boot } = await fixture();
  const { desk, backend } = boot();
  const handles = Array.from({ length: 9 }, (_, at) => desk.mint(`agent:main:telegram:direct:${at}`));
  const [first = "", second = "", ...others] = handles;
  for (const handle of [first, second, ...others.slice(0, -1)]) await desk.ready(handle);
  const ninth = others.at(-1) ?? "";
  await expect(desk.ready(ninth)).rejects.toThrow("All 8 sandboxes of this bot are in use");
  double.child(second).state = "paused";
  double.child(handles[3] ?? "").state = "stopped";
  await desk.ready(ninth);
  expect(double.children.map(({ handle }) => handle)).toEqual(handles.filter((handle) => handle !== second));
  // its chat has not lost it
  await expect(backend(second)).resolves.toBeDefined();
  await desk.ready(second);
  expect(double.spawned.at(-1)).toMatchObject({ handle: second, workspace: second });
  expect(double.children).toHaveLength(8);
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

test("a command is for the sandbox, wherever the model wants it, or is not run and the model told why; other tools are left alone", () => {
  const params = { command: "id", host: "gateway", elevated: true };
  expect(sandboxedCall({ toolName: "exec", params })).toEqual({
    params: { command: "id", host: "sandbox", elevated: false },
  });
  expect(sandboxedCall({ toolName: "exec", params: {} }, "auto")).toEqual({
    params: { host: "sandbox", elevated: false },
  });
  for (const place of ["gateway", "node"])
    expect(sandboxedCall({ toolName: "exec", params }, place)).toMatchObject({
      block: true,
      blockReason: expect.stringMatching(`host=${place}.*send.*: /exec host=sandbox$`),
    });
  expect(sandboxedCall({ toolName: "work_exec", params }, "gateway")).toBeUndefined();
});
