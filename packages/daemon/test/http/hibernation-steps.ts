import { once } from "node:events";
import { expect } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import { type DaemonFixture, ndjson } from "../daemon-fixture.ts";

export const SERVE = { command: ["serve", "80"], exposes: [80], pause_after_idle_s: null, stop_after_paused_s: null };
export const CHAIN = { pause_after_idle_s: 0.1, stop_after_paused_s: 0.1 };

export async function boot(fixture: DaemonFixture, body: object = {}): Promise<string> {
  const created = await fixture.call<{ id: string }>("POST", "/v1/instances", { ...SERVE, ...body });
  expect(created.status).toBe(201);
  // with CHAIN each state is over within 0.1 s
  await fixture.reaches(created.body.id, "running", "paused", "hibernated", "stopped");
  return created.body.id;
}

export const act = (fixture: DaemonFixture, id: string, what: string, body?: object) =>
  fixture.call<InstanceView & { error?: string; code?: string }>("POST", `/v1/instances/${id}/${what}`, body);

export async function asleep(fixture: DaemonFixture, body: object = {}): Promise<string> {
  const id = await boot(fixture, body);
  expect(await act(fixture, id, "hibernate")).toMatchObject({
    status: 200,
    body: { state: "hibernated", stats: null },
  });
  expect(fixture.host.snapshots.has(id)).toBe(true);
  return id;
}

export const set = (fixture: DaemonFixture, id: string, body: object) =>
  fixture.call("PATCH", `/v1/instances/${id}`, body);

export const reasons = async (fixture: DaemonFixture, id: string) =>
  ((await fixture.get(id)).power_history ?? []).map(({ state, reason }) => `${state}: ${reason}`);

export const logOf = async (fixture: DaemonFixture, id: string): Promise<string[]> =>
  ndjson((await fixture.call("GET", `/v1/instances/${id}/logs`)).text).map(({ line }) => String(line));

export const fetchFrom = async (fixture: DaemonFixture, id: string): Promise<string> =>
  (await fetch((await fixture.get(id)).endpoints[0]?.url ?? "")).text();

/** From now on writing takes until it is given up. @returns when one has begun */
export function whileWriting({ driver }: DaemonFixture): Promise<void> {
  return new Promise((begin) => {
    driver.whileHibernating = async (signal) => {
      begin();
      if (!signal.aborted) await once(signal, "abort");
    };
  });
}
