import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { isMicrovm } from "../driver-host.ts";
import { HostAudit } from "./host-audit.ts";

/** a virtual machine takes a hundred times as long to boot */
const CYCLES = isMicrovm ? 40 : 300;
/** The first ones fill caches and pools: what is there after them is to stay as it is. */
const WARM_UP = isMicrovm ? 10 : 60;
const AT_ONCE = isMicrovm ? 2 : 6;
/** what V8 and malloc may keep of a busy minute */
const MOST_GROWTH_KB = 12 * 1024;

interface Traces {
  fds: number;
  threads: number;
  rssKb: number;
}

describe("instances that come and go", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());

  it(`${CYCLES} of them leave the host and the daemon as they were`, { timeout: 900_000 }, async () => {
    await cycles(WARM_UP);
    await expect.poll(audit).toEqual([]);
    const before = await traces();
    await cycles(CYCLES - WARM_UP);
    await expect.poll(audit).toEqual([]);
    await expect.poll(async () => (await traces()).fds).toBeLessThanOrEqual(before.fds);
    const after = await traces();
    console.info(`after ${WARM_UP}: ${JSON.stringify(before)}, after ${CYCLES}: ${JSON.stringify(after)}`);
    expect(after.threads).toBeLessThanOrEqual(before.threads);
    expect(after.rssKb - before.rssKb).toBeLessThan(MOST_GROWTH_KB);
    expect(readdirSync(`${aegis.home}/data/instances`)).toEqual([]);
    expect(await aegis.client.instances.list()).toEqual([]);
    expect(aegis.log()).not.toMatch(/a defect:|could not/);
  });

  async function cycles(count: number): Promise<void> {
    let left = count;
    const work = async (): Promise<void> => {
      while (left-- > 0) await cycle(left);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  async function cycle(n: number): Promise<void> {
    const { instances } = aegis.client;
    const { id } = await aegis.boot({ command: ["sleep", "1000"], exposes: [8080], memory_mb: 64 });
    if (n % 4 === 0) await instances.pause(id);
    if (n % 4 === 1) expect(await aegis.sh(id, "echo hello")).toBe("hello");
    await instances.delete(id);
  }

  async function audit(): Promise<string[]> {
    const [status, instances, images] = await Promise.all([
      aegis.client.status(),
      aegis.client.instances.list(),
      aegis.client.images.list(),
    ]);
    return new HostAudit(aegis.home).look({ status, instances, digests: images.map(({ digest }) => digest) });
  }

  async function traces(): Promise<Traces> {
    const { pid } = await aegis.client.status();
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
    return { fds: readdirSync(`/proc/${pid}/fd`).length, threads: field("Threads"), rssKb: field("VmRSS") };
  }
});
