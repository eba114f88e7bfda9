import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const PAUSE = fileURLToPath(new URL("../../guest/pause.ts", import.meta.url));
const TOKEN = "gateway-token";

interface Call {
  authorization: string | undefined;
  url: string | undefined;
  body: unknown;
}

/** A workspace whose gateway answers like that, and the bot's pause hook in it. */
async function withGateway(answer: object, status = 200, schedule: object = { enabled: true, jobs: 0 }) {
  const calls: Call[] = [];
  const gateway = createServer((request, response) => {
    void json(request).then((body) => {
      calls.push({ authorization: request.headers.authorization, url: request.url, body });
      const asksSchedule = status === 200 && isStatus(body);
      const said = asksSchedule ? { ok: true, payload: schedule } : answer;
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(said));
    });
  }).listen(0, "127.0.0.1");
  await once(gateway, "listening");
  const workspace = mkdtempSync(join(tmpdir(), "claw-pause-"));
  onTestFinished(() => {
    gateway.close();
    rmSync(workspace, { recursive: true });
  });
  const { port } = gateway.address() as AddressInfo;
  mkdirSync(join(workspace, "state"));
  writeFileSync(join(workspace, "state/openclaw.json"), JSON.stringify({ gateway: { port, auth: { token: TOKEN } } }));
  const run = (what: string, env: Record<string, string> = {}) => {
    const { promise, resolve } = Promise.withResolvers<{ code: number; stdout: string; stderr: string }>();
    const child = execFile(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", PAUSE, what],
      { env: { CLAW_WORKSPACE: workspace, ...env } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
    return promise;
  };
  return { calls, run };
}

const isStatus = (body: unknown) =>
  typeof body === "object" && body !== null && "method" in body && body.method === "cron.status";

const inMs = (ms: number) => Date.now() + ms;

const rpc = (method: string, params: object): Call => ({
  authorization: `Bearer ${TOKEN}`,
  url: "/api/v1/admin/rpc",
  body: { method, params },
});

test("a gateway that is idle agrees, and says what to resume", async () => {
  const { calls, run } = await withGateway({
    ok: true,
    payload: { status: "ready", suspensionId: "s-1", blockers: [] },
  });
  expect(await run("ask")).toEqual({ code: 0, stdout: '{"suspensionId":"s-1"}\n', stderr: "" });
  expect(calls).toEqual([rpc("cron.status", {}), rpc("gateway.suspend.prepare", { requestId: "aegis-pause" })]);
});

const READY = { ok: true, payload: { status: "ready", suspensionId: "s-1", blockers: [] } };

test("a gateway with a job ahead says when to wake it, and how long it takes to boot", async () => {
  const nextWakeAtMs = inMs(60_000);
  const { run } = await withGateway(READY, 200, { enabled: true, nextWakeAtMs });
  expect(JSON.parse((await run("ask")).stdout)).toEqual({
    suspensionId: "s-1",
    wake_at: new Date(nextWakeAtMs - 5000).toISOString(),
    boot_lead_s: 90,
  });
});

test.each([[10_000], [0], [-60_000]])("one whose job is due in %i ms stays awake for it", async (ms) => {
  const { calls, run } = await withGateway(READY, 200, { enabled: true, nextWakeAtMs: inMs(ms) });
  expect((await run("ask")).stdout).toBe('{"busy":true,"reason":"a scheduled job is due"}\n');
  expect(calls).toHaveLength(1);
});

test("a scheduler that is switched off wakes nobody", async () => {
  const { run } = await withGateway(READY, 200, { enabled: false, nextWakeAtMs: inMs(10_000) });
  expect((await run("ask")).stdout).toBe('{"suspensionId":"s-1"}\n');
});

test("a busy one says with what", async () => {
  const blockers = [{ kind: "root-request", count: 1, message: "1 active request" }];
  const { run } = await withGateway({ ok: true, payload: { status: "busy", reason: "active-work", blockers } });
  expect((await run("ask")).stdout).toBe('{"busy":true,"reason":"1 active request"}\n');
});

test("the resume names what was agreed", async () => {
  const { calls, run } = await withGateway({ ok: true, payload: { ok: true, status: "running" } });
  expect(await run("resumed", { AEGIS_PAUSE_TOKEN: '{"suspensionId":"s-1"}' })).toMatchObject({ code: 0, stderr: "" });
  expect(calls).toEqual([rpc("gateway.suspend.resume", { suspensionId: "s-1" })]);
});

test("a refusal and a missing token are failures, and no secret is in their words", async () => {
  const { run } = await withGateway({ ok: false, error: { code: "UNAVAILABLE" } }, 503);
  const refused = await run("ask");
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("UNAVAILABLE") });
  expect(refused.stderr).not.toContain(TOKEN);
  expect(await run("resumed")).toMatchObject({ code: 1, stderr: expect.stringContaining("AEGIS_PAUSE_TOKEN") });
});
