import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { busyboxLayer, writeTestImage } from "../test-image.ts";
import { bundleDaemon, CrashingDaemon } from "./crashing-daemon.ts";
import { HostAudit } from "./host-audit.ts";
import { Random } from "./random.ts";
import { RandomTraffic } from "./random-traffic.ts";

const seed = Number(process.env["AEGIS_CRASH_SEED"] ?? randomInt(2 ** 31));
const KILLS = Number(process.env["AEGIS_CRASH_KILLS"] ?? 300);
/** so many kills between two looks at everything */
const BATCH = 10;
const LONGEST_LIFE_MS = 450;
/** one in so many is killed while it still starts */
const DURING_START = 5;
const LONGEST_START_MS = 300;
const WORKERS = 4;

describe(`a daemon that is killed again and again (AEGIS_CRASH_SEED=${seed})`, () => {
  let aegis: Aegis;
  let layout: string;
  let bundle: { file: string; remove: () => void };
  const random = new Random(seed);

  beforeAll(async () => {
    console.info(`AEGIS_CRASH_SEED=${seed}, ${KILLS} kills`);
    bundle = bundleDaemon();
    layout = mkdtempSync(join(tmpdir(), "aegis-layout-"));
    await writeTestImage(layout, [busyboxLayer]);
    aegis = await startAegis();
    await aegis.kill9();
  });
  afterAll(async () => {
    rmSync(layout, { recursive: true, force: true });
    bundle.remove();
    await aegis.stop();
  });

  it(`loses nothing, leaks nothing and kills nothing in ${KILLS} kills`, { timeout: 3_600_000 }, async () => {
    let done = 0;
    for (let kills = 0; kills < KILLS; kills++) {
      done += await liveAndDie();
      if ((kills + 1) % BATCH === 0) await lookAround(kills + 1);
    }
    console.info(`${KILLS} kills, ${done} operations between them`);
    // it did work: how much of it a life has time for is the machine's affair
    expect(done).toBeGreaterThan(KILLS / 10);
  });

  const daemon = () =>
    new CrashingDaemon({
      home: aegis.home,
      env: aegis.env,
      bundle: bundle.file,
      log: join(aegis.home, "data/aegisd.log"),
    });

  /** One life under traffic. @returns how much was done in it */
  async function liveAndDie(): Promise<number> {
    const living = daemon();
    if (random.below(DURING_START) === 0) {
      await delay(random.below(LONGEST_START_MS));
      expect(living.ended).toBe(false);
      await living.kill9();
      return 0;
    }
    await living.ready();
    const traffic = new RandomTraffic(aegis.client, random, layout);
    traffic.start(WORKERS);
    await delay(random.below(LONGEST_LIFE_MS));
    await living.kill9();
    await traffic.end();
    return traffic.done;
  }

  /** A daemon that comes back and is left alone must find everything in order, and every instance must work. */
  async function lookAround(kills: number): Promise<void> {
    const living = daemon();
    await living.ready();
    const audit = new HostAudit(aegis.home);
    const { instances } = aegis.client;
    for (const { id } of await instances.list()) await aegis.until(id, ({ state }) => state !== "starting");
    const look = async () => {
      const [status, list, images] = await Promise.all([
        aegis.client.status(),
        instances.list(),
        aegis.client.images.list(),
      ]);
      return audit.look({ status, instances: list, digests: [...new Set(images.map(({ digest }) => digest))] });
    };
    await expect.poll(look, { message: `after ${kills} kills` }).toEqual([]);
    expect(aegis.log()).not.toMatch(/a defect:/);
    for (const { id, state, failure } of await instances.list()) {
      expect({ id, state, failure }).toEqual({ id, state, failure: null });
      // some are paused and stopped in a fraction of a second
      const { lease_id } = await instances.lease(id, { ttl_ms: 60_000, reason: "is looked at" });
      await instances.start(id);
      expect(await aegis.sh(id, "echo alive")).toBe("alive");
      await instances.releaseLease(id, lease_id);
    }
    for (const { id } of (await instances.list()).slice(2)) await instances.delete(id);
    await living.kill9();
  }
});
