import http from "node:http";
import { setImmediate } from "node:timers/promises";
import { decodeJwt } from "jose";
import { expect, it, onTestFinished, vi } from "vitest";
import type { FakeMachine } from "../../src/drivers/fake/fake-machine.ts";
import { daemonFixture } from "../daemon-fixture.ts";

const HOUR = 3_600_000;
const CHILD = { command: ["sleep", "1000000"], memory_mb: 64 };

/** Waits until the renewal that was due has come in: a token is signed on another thread, which takes real time. */
async function renewed(machine: FakeMachine): Promise<void> {
  const ageS = (): number => Date.now() / 1000 - (decodeJwt(machine.harness.token ?? "").iat ?? 0);
  await vi.waitFor(() => expect(ageS()).toBeLessThan(31 * 60), { interval: 1, timeout: 60_000 });
}

/** A call of the Guest API as a process inside makes it: over the harness, which attaches the token that it has. */
async function guestCall(machine: FakeMachine, method: string, path: string, body?: object, token?: string) {
  const stream = await machine.harness.openStream({ kind: "guest_api" }, token);
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: Record<string, unknown> }>();
  const headers = { "content-type": "application/json", connection: "close" };
  const call = http.request({ createConnection: () => stream, method, path, headers }, (response) => {
    let text = "";
    response.on("data", (chunk: Buffer) => (text += chunk.toString()));
    response.on("end", () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text || "{}") }));
  });
  call.on("error", reject);
  call.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

it(
  "an instance that runs for a week goes on to create others, with tokens that live for an hour",
  { timeout: 120_000 },
  async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const { call, driver, reaches } = await daemonFixture();
    const capabilities = {
      spawn: true,
      spawn_depth: 1,
      max_children: 400,
      allowed_images: ["*"],
      max_memory_mb: 64,
      max_vcpus: 1,
    };
    const spec = { command: CHILD.command, pause_after_idle_s: null, capabilities };
    const { body: bot } = await call<{ id: string }>("POST", "/v1/instances", spec);
    await reaches(bot.id, "running");
    const machine = driver.machine(bot.id);
    if (machine === null) throw new Error("the bot has no machine");
    const first = machine.harness.token ?? "";
    const tokens = new Set<string>();
    for (let hour = 1; hour <= 7 * 24; hour++) {
      for (let step = 0; step < 6; step++) {
        vi.advanceTimersByTime(HOUR / 6);
        await renewed(machine);
      }
      tokens.add(machine.harness.token ?? "");
      if (hour % 12 !== 0) continue;
      const { status, body } = await guestCall(machine, "POST", "/v1/instances", CHILD);
      expect([hour, status]).toEqual([hour, 201]);
      expect(body["parent_id"]).toBe(bot.id);
    }
    expect(tokens.size).toBeGreaterThan(7 * 24 - 5);
    // the one that it came with is worth nothing any more
    void machine.harness.openStream({ kind: "guest_api" }, first).then(() => expect.unreachable());
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    expect((await call<unknown[]>("GET", `/v1/instances?parent_id=${bot.id}`)).body.length).toBe(14);
  },
);

it("a token is worth nothing on another instance's channel", async () => {
  const { call, driver, reaches } = await daemonFixture();
  const ids: string[] = [];
  for (const capabilities of [
    { spawn: true, spawn_depth: 1, max_children: 1, allowed_images: ["*"], max_memory_mb: 64, max_vcpus: 1 },
    {},
  ]) {
    const { body } = await call<{ id: string }>("POST", "/v1/instances", { command: CHILD.command, capabilities });
    await reaches(body.id, "running");
    ids.push(body.id);
  }
  const [able, unable] = ids.map((id) => driver.machine(id));
  if (able === null || able === undefined || unable === null || unable === undefined) throw new Error("no machines");
  let opened = false;
  void unable.harness.openStream({ kind: "guest_api" }, able.harness.token ?? "").then(() => (opened = true));
  expect((await guestCall(unable, "POST", "/v1/instances", CHILD)).status).toBe(422);
  expect((await guestCall(able, "POST", "/v1/instances", CHILD)).status).toBe(201);
  expect(opened).toBe(false);
});
