import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { EventBody } from "@aegis/protocol/event";
import { type DiskLimits, DiskWatch, refuseFullDisk } from "../../src/core/disk-watch.ts";
import { EventLog } from "../../src/core/event-log.ts";
import { daemonFixture } from "../daemon-fixture.ts";

const GB = 2 ** 30;
const MINUTE_MS = 60_000;

let space: { path: string; freeBytes: number; totalBytes: number };
let used: { home: number; images: number };
let events: EventBody[];
let measures: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  [space, used] = [
    { path: "/home", freeBytes: 50 * GB, totalBytes: 100 * GB },
    { home: GB, images: 2 * GB },
  ];
  [events, measures] = [[], 0];
});
afterEach(() => vi.useRealTimers());

function watch(limits: Partial<DiskLimits> = {}): DiskWatch {
  const warn = (message: string): never => expect.fail(message);
  const appendEvent = (body: EventBody) => ({ ...body, seq: events.push(body), ts: "" });
  return new DiskWatch({
    gauge: {
      space: () => space,
      measure: async () => {
        measures += 1;
        return used.home;
      },
    },
    images: { size: async () => used.images },
    limits: { budgetBytes: null, floorBytes: null, ...limits },
    events: new EventLog({ appendEvent, newestEventSeq: () => 0, eventsSince: () => [] }, warn),
    warn,
  });
}

it("says once that the floor is reached, what to do, and once that it is over", async () => {
  const disk = watch();
  await disk.look();
  expect(events).toEqual([]);
  space.freeBytes = 0.9 * GB;
  for (let n = 0; n < 3; n++) await disk.look();
  expect(disk.status()).toMatchObject({ low: true, floor_bytes: GB, used_bytes: 3 * GB, budget_bytes: null });
  space.freeBytes = 1.05 * GB; // a little more is no relief yet
  await disk.look();
  expect(events).toMatchObject([
    {
      type: "disk.low",
      path: "/home",
      free_bytes: 0.9 * GB,
      used_bytes: 3 * GB,
      advice: expect.stringMatching(/prune/),
    },
  ]);
  space.freeBytes = 1.2 * GB;
  for (let n = 0; n < 2; n++) await disk.look();
  expect(events.map(({ type }) => type)).toEqual(["disk.low", "disk.ok"]);
});

it("says when more is used than the budget", async () => {
  const disk = watch({ budgetBytes: 2.5 * GB });
  await disk.look();
  expect(events).toMatchObject([{ type: "disk.low", used_bytes: 3 * GB, budget_bytes: 2.5 * GB }]);
  used = { home: GB, images: GB };
  space.freeBytes += GB;
  vi.setSystemTime(Date.now() + MINUTE_MS);
  await disk.look();
  expect(events.at(-1)).toMatchObject({ type: "disk.ok", used_bytes: 2 * GB });
});

it("measures seldom: when much has changed, but not more than once a minute, and every 15 minutes", async () => {
  const disk = watch();
  const after = async (ms: number, change = 0): Promise<number> => {
    vi.setSystemTime(Date.now() + ms);
    space.freeBytes -= change;
    await disk.look();
    return measures;
  };
  expect(await after(0)).toBe(1);
  expect(await after(30_000, GB)).toBe(1);
  expect(await after(31_000)).toBe(2);
  expect(await after(10 * MINUTE_MS)).toBe(2);
  expect(await after(5 * MINUTE_MS)).toBe(3);
});

it("refuses what is new with next to no room, on a small disk later", () => {
  expect(() => refuseFullDisk({ ...space, freeBytes: 63 * 2 ** 20 })).toThrow(
    expect.objectContaining({
      code: "disk_full",
      message: expect.stringMatching(/The disk is full: \/home has only 63 MB left.*prune/),
    }),
  );
  expect(() => refuseFullDisk({ ...space, freeBytes: 65 * 2 ** 20 })).not.toThrow();
  expect(() => refuseFullDisk({ path: "/", freeBytes: 2 ** 20, totalBytes: 48 * 2 ** 20 })).not.toThrow();
});

it("a daemon on a full disk creates nothing, starts what there is, and shows it", async () => {
  vi.useRealTimers();
  const fixture = await daemonFixture();
  const body = { command: ["sleep", "1000"], handle: "old" };
  const { id } = (await fixture.call<{ id: string }>("POST", "/v1/instances", body)).body;
  await fixture.reaches(id, "running");
  await fixture.call("POST", `/v1/instances/${id}/stop`);
  fixture.space.freeBytes = 1000;
  expect(await fixture.call("POST", "/v1/instances", { ...body, handle: "new" })).toMatchObject({
    status: 507,
    body: { code: "disk_full" },
  });
  expect((await fixture.call<unknown[]>("GET", "/v1/instances")).body).toHaveLength(1);
  expect((await fixture.call("POST", "/v1/instances", body)).status).toBe(200);
  expect((await fixture.call("GET", "/v1/status")).body).toMatchObject({
    disk: { free_bytes: 1000, used_bytes: 1000 },
  });
});
