import net from "node:net";
import { expect, it } from "vitest";
import type { DaemonFixture } from "../daemon-fixture.ts";
import { AMBIGUOUS, brokenBytes } from "./broken-http.ts";
import { FuzzRandom, fuzzSeed } from "./fuzz-random.ts";
import { parentInside, quickFixture } from "./fuzz-fixture.ts";
import { whatIsHeld } from "./what-is-held.ts";

const ROUNDS = 40;
const AT_ONCE = 50;
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;

const doors: [string, (fixture: DaemonFixture) => Promise<string>][] = [
  ["the host API", async (fixture) => fixture.home.socket],
  ["the Guest API", async (fixture) => (await parentInside(fixture)).socket],
];

/** Sends bytes and the end of them; gives the statuses that came back before the connection was over. */
function statusesOf(socketPath: string, bytes: Buffer | string): Promise<number[]> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = net.connect({ path: socketPath, allowHalfOpen: true });
    socket.on("data", (chunk) => chunks.push(chunk)).on("error", () => undefined);
    socket.once("end", () => socket.end());
    socket.once("close", () => {
      const heads = Buffer.concat(chunks)
        .toString("latin1")
        .matchAll(/HTTP\/1\.1 (\d{3}) /g);
      resolve(Array.from(heads, ([, status]) => Number(status)).filter((status) => status !== 100));
    });
    socket.end(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  });
}

it.each(doors)("%s refuses as a whole what could be read in two ways", async (_, open) => {
  const fixture = await quickFixture();
  const socket = await open(fixture);
  for (const [what, bytes] of AMBIGUOUS) {
    const statuses = await statusesOf(socket, bytes);
    expect([what, statuses.length <= 1, statuses.every((status) => [400, 408, 413, 431].includes(status))]).toEqual([
      what,
      true,
      true,
    ]);
  }
  expect((await fixture.call("GET", "/v1/status")).status).toBe(200);
});

it.each(doors)("%s takes bytes that are no requests", { timeout: 120_000 }, async (_, open) => {
  const fixture = await quickFixture();
  const socket = await open(fixture);
  const random = new FuzzRandom(fuzzSeed());
  let before = await whatIsHeld();
  let [answers, defects] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    if (round === ROUNDS / 4) before = await whatIsHeld();
    const all = await Promise.all(Array.from({ length: AT_ONCE }, () => statusesOf(socket, brokenBytes(random))));
    answers += all.flat().length;
    defects += all.flat().filter((status) => status === 500).length;
  }
  expect(defects).toBe(0);
  expect(answers).toBeGreaterThan((ROUNDS * AT_ONCE) / 2);
  expect((await whatIsHeld()).heapBytes - before.heapBytes).toBeLessThan(MAX_GROWTH_BYTES);
  // the other end of a connection closes a little later
  await expect.poll(async () => (await whatIsHeld()).resources).toBeLessThanOrEqual(before.resources + 1);
  expect(fixture.warnings.filter((warning) => /\n\s+at /.test(warning))).toEqual([]);
  expect((await fixture.call("GET", "/v1/status")).status).toBe(200);
});
