import { expect } from "vitest";
import type { InstanceView, PowerEntry } from "@aegis/protocol/instance";
import type { DaemonFixture } from "../daemon-fixture.ts";

export const FOREVER = ["sleep", "1000"];

export async function boot(fixture: DaemonFixture, body: object): Promise<InstanceView> {
  const created = await fixture.call<{ id: string }>("POST", "/v1/instances", { command: FOREVER, ...body });
  expect(created.status).toBe(201);
  // some fall asleep again within 0.1 s
  return fixture.reaches(created.body.id, "running", "paused");
}

export const set = (fixture: DaemonFixture, id: string, body: object) =>
  fixture.call<InstanceView>("PATCH", `/v1/instances/${id}`, body);

export const history = async (fixture: DaemonFixture, id: string): Promise<PowerEntry[]> =>
  (await fixture.get(id)).power_history ?? [];

export const untilHistory = (fixture: DaemonFixture, id: string, reason: RegExp) =>
  expect
    .poll(async () => (await history(fixture, id)).map((entry) => entry.reason))
    .toContainEqual(expect.stringMatching(reason));
