import type http from "node:http";
import { expect, it, onTestFinished } from "vitest";
import type { InstanceView } from "@aegis/protocol/instance";
import type { DaemonFixture } from "../daemon-fixture.ts";
import { apiCalls } from "./api-calls.ts";
import { corpus } from "./corpus.ts";
import { FuzzRandom, fuzzSeed } from "./fuzz-random.ts";
import { parentInside, quickFixture } from "./fuzz-fixture.ts";
import { hostileRequest, type HostileRequest } from "./hostile-request.ts";
import { laneAgent, readAnswer, sendRequest } from "./http-lane.ts";
import { whatIsHeld } from "./what-is-held.ts";

/** requests that have to be answered, of each API */
const REQUESTS = 20_000;
const LANES = 12;
/** After so many requests the instances that came of them go. */
const ROUND = 4_000;
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;
/** Two cores that others use too take a while for so many. */
const PATIENCE_MS = 600_000;

interface Outcome {
  request: HostileRequest;
  status: number | string;
}

interface Sent {
  /** those whose answer no client should ever see */
  bad: Outcome[];
  answered: number;
  /** of those answered: done, rather than refused */
  done: number;
}

/** Sends requests over all lanes. */
async function send(agent: http.Agent, next: () => HostileRequest | null): Promise<Sent> {
  const result: Sent = { bad: [], answered: 0, done: 0 };
  const lane = async (): Promise<void> => {
    for (let request = next(); request !== null; request = next()) {
      const sent = request;
      const status = await sendRequest(agent, sent).catch((error: NodeJS.ErrnoException) =>
        error.code === "ECONNRESET" || error.code === "EPIPE" ? 0 : String(error),
      );
      if (status === 500 || typeof status === "string") result.bad.push({ request: sent, status });
      else if (status !== 0) result.answered += 1;
      if (typeof status === "number" && status >= 200 && status < 300) result.done += 1;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return result;
}

const taking = <T>(cases: readonly T[]): (() => T | null) => {
  let at = 0;
  return () => cases[at++] ?? null;
};

/** Rounds of hostile requests against one API; nothing may be broken, kept or grown by them. */
async function fuzz(fixture: DaemonFixture, agent: http.Agent, kept: readonly string[]): Promise<void> {
  const random = new FuzzRandom(fuzzSeed());
  const calls = apiCalls(JSON.parse(await readAnswer(agent, "/openapi.json")));
  const instances = async (): Promise<InstanceView[]> =>
    (await fixture.call<InstanceView[]>("GET", "/v1/instances")).body;
  const clear = async (): Promise<void> => {
    for (const { id } of await instances()) if (!kept.includes(id)) await fixture.call("DELETE", `/v1/instances/${id}`);
  };
  let before: Awaited<ReturnType<typeof whatIsHeld>> | null = null;
  let [answered, done] = [0, 0];
  while (answered < REQUESTS) {
    let left = ROUND;
    const ids = (await instances()).map(({ id }) => id);
    const sent = await send(agent, () => (left-- > 0 ? hostileRequest(random, calls, ids) : null));
    expect(sent.bad).toEqual([]);
    expect(sent.answered).toBeGreaterThan(ROUND * 0.95);
    answered += sent.answered;
    done += sent.done;
    await clear();
    // the first round fills what is filled once: compiled code, caches, pools
    before ??= await whatIsHeld();
  }
  process.stdout.write(`${answered} requests answered, ${done} of them done\n`);
  expect(done).toBeGreaterThan(answered / 10);
  expect((await whatIsHeld()).heapBytes - (before?.heapBytes ?? 0)).toBeLessThan(MAX_GROWTH_BYTES);
  await expect.poll(async () => (await whatIsHeld()).resources).toBeLessThanOrEqual((before?.resources ?? 0) + LANES);
  expect(fixture.warnings.filter((warning) => /\n\s+at /.test(warning))).toEqual([]);
  expect((await fixture.call("GET", "/v1/status")).status).toBe(200);
}

it("the host API takes hostile requests", { timeout: PATIENCE_MS }, async () => {
  const fixture = await quickFixture();
  const agent = laneAgent(fixture.home.socket, LANES);
  onTestFinished(() => agent.destroy());
  expect(await send(agent, taking(corpus<HostileRequest>("host-api")))).toMatchObject({ bad: [] });
  await fuzz(fixture, agent, []);
});

it("the Guest API takes hostile requests", { timeout: PATIENCE_MS }, async () => {
  const fixture = await quickFixture();
  const { id, socket } = await parentInside(fixture);
  const agent = laneAgent(socket, LANES);
  onTestFinished(() => agent.destroy());
  expect(await send(agent, taking(corpus<HostileRequest>("guest-api")))).toMatchObject({ bad: [] });
  await fuzz(fixture, agent, [id]);
});
