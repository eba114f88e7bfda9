import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import type { HttpRoute, OpenClawApi } from "../../guest/plugin/openclaw-api.ts";
import { registerPauseRoute } from "../../guest/plugin/pause-route.ts";

/** Asks from a thread of its own, and says so when it has the whole answer. */
const ASKER = `
  const { workerData } = require("node:worker_threads");
  fetch(workerData.url, { method: "POST" }).then((response) => response.json()).then(() => {
    Atomics.store(workerData.answered, 0, 1);
    Atomics.notify(workerData.answered, 0);
  });`;
const PATIENCE_MS = 10_000;

test("whoever asks has the whole answer while the process stands still, and the request is open until it goes on", async () => {
  const answered = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const seen: unknown[] = [];
  let route: HttpRoute | undefined;
  let ended = false;
  const call = (method: string) => {
    seen.push([method, { ended }]);
    return Promise.resolve({ ok: true, payload: { status: "ready", suspensionId: "s-1" } });
  };
  const api = {
    registerHttpRoute: (added: HttpRoute) => (route = added),
    logger: { warn: (text: string) => seen.push(text) },
  };
  registerPauseRoute(api as unknown as OpenClawApi, call, () => seen.push(Atomics.wait(answered, 0, 0, PATIENCE_MS)));
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    response.once("finish", () => (ended = true));
    void route?.handler(request, response).then(() => resolve());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const asker = new Worker(ASKER, { eval: true, workerData: { answered, url } });
  onTestFinished(async () => {
    await asker.terminate();
    server.close();
  });
  await over;
  expect(["ok", "not-equal"]).toContain(seen.at(2));
  expect(seen).toEqual([
    ["cron.status", { ended: false }],
    ["gateway.suspend.prepare", { ended: false }],
    seen.at(2),
    ["gateway.suspend.resume", { ended: false }],
  ]);
});
