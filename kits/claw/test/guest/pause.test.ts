import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { GatewayAnswer } from "../../guest/plugin/gateway-pause.ts";
import type { HttpRoute, OpenClawApi } from "../../guest/plugin/openclaw-api.ts";
import { registerPauseRoute } from "../../guest/plugin/pause-route.ts";

const PAUSE = fileURLToPath(new URL("../../guest/pause.ts", import.meta.url));
const TOKEN = "gateway-token";
const READY = { ok: true, payload: { status: "ready", suspensionId: "s-1", blockers: [] } };

/** A bot whose gateway has the kit's route and answers like that, and its pause hook. */
async function bot(prepared: GatewayAnswer, token = TOKEN) {
  const seen: string[] = [];
  let route: HttpRoute | undefined;
  const call = (method: string) => {
    seen.push(method);
    return Promise.resolve(method === "gateway.suspend.prepare" ? prepared : { ok: true, payload: {} });
  };
  const api = {
    registerHttpRoute: (added: HttpRoute) => (route = added),
    logger: { warn: (text: string) => seen.push(text) },
  };
  registerPauseRoute(api as unknown as OpenClawApi, call);
  const gateway = createServer((request, response) => {
    const known = route !== undefined && request.url === route.path && route.auth === "gateway";
    if (!known || request.headers.authorization !== `Bearer ${TOKEN}`) return void response.writeHead(401).end();
    seen.push("asked");
    void route?.handler(request, response);
  }).listen(0, "127.0.0.1");
  await once(gateway, "listening");
  const workspace = mkdtempSync(join(tmpdir(), "claw-pause-"));
  onTestFinished(() => {
    gateway.close();
    rmSync(workspace, { recursive: true });
  });
  const { port } = gateway.address() as AddressInfo;
  mkdirSync(join(workspace, "state"));
  writeFileSync(join(workspace, "state/openclaw.json"), JSON.stringify({ gateway: { port, auth: { token } } }));
  const { promise, resolve } = Promise.withResolvers<{ code: number; stdout: string; stderr: string }>();
  const child = execFile(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", PAUSE],
    { env: { CLAW_WORKSPACE: workspace } },
    (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
  );
  return { ...(await promise), seen };
}

test("an idle gateway agrees, and goes on when it was not paused after all", async () => {
  const { code, stdout, stderr, seen } = await bot(READY);
  expect([code, stdout, stderr]).toEqual([0, "{}\n", ""]);
  expect(seen).toEqual(["asked", "cron.status", "gateway.suspend.prepare", "gateway.suspend.resume"]);
});

test("a busy one says so", async () => {
  const { code, stdout } = await bot({ ok: true, payload: { status: "busy", reason: "active-work" } });
  expect([code, stdout]).toEqual([0, '{"busy":true,"reason":"active-work"}\n']);
});

test("one that does not answer is a failure, and no secret is in its words", async () => {
  const { code, stdout, stderr, seen } = await bot(READY, "another-token");
  expect([code, stdout, seen]).toEqual([1, "", []]);
  expect(stderr).toContain("401");
  expect(stderr).not.toContain("another-token");
});
