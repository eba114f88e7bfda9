import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type http from "node:http";
import type { Duplex } from "node:stream";
import { expect, it, onTestFinished } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import { FakeHost } from "../../src/drivers/fake/fake-driver.ts";
import { openHome } from "../../src/home.ts";
import { daemonFixture, type DaemonFixture } from "../daemon-fixture.ts";
import { corpus } from "./corpus.ts";
import { FuzzRandom, fuzzSeed } from "./fuzz-random.ts";
import { GUEST_ROUTES, HOST_ROUTES, hostileRequest, type HostileRequest } from "./hostile-request.ts";
import { carry, laneAgent, sendRequest } from "./http-lane.ts";
import { whatIsHeld } from "./what-is-held.ts";

const REQUESTS = 20_000;
const LANES = 12;
/** After so many requests the instances that came of them go. */
const ROUND = 4_000;
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;
/** Two cores that others use too take a while for so many. */
const PATIENCE_MS = 300_000;

interface Outcome {
  request: HostileRequest;
  status: number | string;
}

/** Sends requests over all lanes; gives those whose answer no client should ever see. */
async function send(agent: http.Agent, next: () => HostileRequest | null): Promise<Outcome[]> {
  const bad: Outcome[] = [];
  const lane = async (): Promise<void> => {
    for (let request = next(); request !== null; request = next()) {
      const sent = request;
      const status = await sendRequest(agent, sent).catch((error: NodeJS.ErrnoException) =>
        error.code === "ECONNRESET" || error.code === "EPIPE" ? 0 : String(error),
      );
      if (status === 500 || typeof status === "string") bad.push({ request: sent, status });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return bad;
}

const taking = <T>(cases: readonly T[]): (() => T | null) => {
  let at = 0;
  return () => cases[at++] ?? null;
};

/** Rounds of hostile requests against one API; nothing may be broken, kept or grown by them. */
async function fuzz(
  fixture: DaemonFixture,
  agent: http.Agent,
  routes: [string, ...string[]],
  kept: readonly string[],
): Promise<void> {
  const random = new FuzzRandom(fuzzSeed());
  const instances = async (): Promise<InstanceView[]> =>
    (await fixture.call<InstanceView[]>("GET", "/v1/instances")).body;
  const clear = async (): Promise<void> => {
    for (const { id } of await instances()) if (!kept.includes(id)) await fixture.call("DELETE", `/v1/instances/${id}`);
  };
  let before: Awaited<ReturnType<typeof whatIsHeld>> | null = null;
  for (let done = 0; done < REQUESTS; done += ROUND) {
    let left = ROUND;
    const ids = (await instances()).map(({ id }) => id);
    expect(await send(agent, () => (left-- > 0 ? hostileRequest(random, routes, ids) : null))).toEqual([]);
    await clear();
    // the first round fills what is filled once: compiled code, caches, pools
    before ??= await whatIsHeld();
  }
  const after = await whatIsHeld();
  expect(after.heapBytes - (before?.heapBytes ?? 0)).toBeLessThan(MAX_GROWTH_BYTES);
  expect(after.resources).toBeLessThanOrEqual((before?.resources ?? 0) + LANES);
  expect(fixture.warnings.filter((warning) => /\n\s+at /.test(warning))).toEqual([]);
  expect((await fixture.call("GET", "/v1/status")).status).toBe(200);
}

/** On a home in memory: what the disk can take is not the question here. */
async function quickFixture(): Promise<DaemonFixture> {
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "aegis-fuzz-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  return daemonFixture({ home: openHome({ AEGIS_HOME: folder }, owner), host: new FakeHost() });
}

async function parent(fixture: DaemonFixture): Promise<string> {
  const capabilities = {
    spawn: true,
    spawn_depth: 2,
    max_children: 20,
    allowed_images: ["*"],
    max_memory_mb: 1024,
    max_vcpus: 2,
    max_expose_ports: 2,
    allowed_workspaces: ["w*"],
  };
  const body = { handle: "parent", command: ["sleep", "100000"], pause_after_idle_s: null, capabilities };
  const created = await fixture.call<{ id: string }>("POST", "/v1/instances", body);
  await fixture.reaches(created.body.id, "running");
  return created.body.id;
}

it("the host API takes hostile requests", { timeout: PATIENCE_MS }, async () => {
  const fixture = await quickFixture();
  const agent = laneAgent(fixture.home.socket, LANES);
  onTestFinished(() => agent.destroy());
  expect(await send(agent, taking(corpus<HostileRequest>("host-api")))).toEqual([]);
  await fuzz(fixture, agent, HOST_ROUTES, []);
});

it("the Guest API takes hostile requests", { timeout: PATIENCE_MS }, async () => {
  const fixture = await quickFixture();
  const id = await parent(fixture);
  const dial = async (): Promise<Duplex> => {
    const stream = await fixture.driver.machine(id)?.harness.openStream({ kind: "guest_api" });
    if (stream === undefined) throw new Error("the parent's machine is gone");
    return stream;
  };
  const path = join(fixture.home.root, "inside.sock");
  const inside = await carry(path, dial);
  onTestFinished(() => void inside.close());
  const agent = laneAgent(path, LANES);
  onTestFinished(() => agent.destroy());
  expect(await send(agent, taking(corpus<HostileRequest>("guest-api")))).toEqual([]);
  await fuzz(fixture, agent, GUEST_ROUTES, [id]);
});
