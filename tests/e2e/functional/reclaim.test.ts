import { setTimeout as delay } from "node:timers/promises";
import type { AegisEvent } from "@aegis/protocol/event";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { cgroupFile } from "../cgroup-file.ts";
import { notInVm } from "../driver-host.ts";
import { IMAGES } from "../fixture-images.ts";
import { SwapFile } from "../swap-file.ts";

const MB = 1024 * 1024;
const PORT = 8080;
const MEMORY_MB = 256;
const HELD_MB = 100;
const POLL_MS = 1;

/** Holds memory that does not compress, and can tell whether it is still the same; `/idle` touches none of it. */
const HOLDER = `
const { createHash, randomFillSync } = require("node:crypto");
const held = randomFillSync(Buffer.alloc(${HELD_MB * MB}));
const digest = () => createHash("sha256").update(held).digest("hex");
const first = digest();
const tell = (url) => (url === "/idle" ? "idle" : digest() === first ? "intact" : "broken");
require("node:http").createServer(({ url }, answer) => answer.end(tell(url))).listen(${PORT});
`;

describe("the memory of a paused instance", () => {
  beforeEach(notInVm("a virtual machine that sleeps for long is hibernated, not swapped out"));
  let aegis: Aegis;
  let swap: SwapFile | undefined;
  beforeAll(async () => {
    swap = new SwapFile(256);
    aegis = await startAegis({ images: ["node", "busybox"] });
  });
  afterEach(() => aegis.deleteAll());
  afterAll(async () => {
    try {
      await aegis.stop();
    } finally {
      swap?.[Symbol.dispose]();
    }
  });

  const boot = async () => {
    const command = ["/bin/node", "-e", HOLDER];
    const spec = { image_ref: IMAGES.node, exposes: [PORT], memory_mb: MEMORY_MB, pause_after_idle_s: null };
    const { id, endpoints } = await aegis.boot({ ...spec, command });
    const url = endpoints[0]?.url ?? "";
    expect(await ask(url)).toBe("intact");
    return { id, url };
  };

  const settings = (id: string) => ({
    limit: cgroupFile(aegis.home, id, { v2: "memory.max", v1: "memory.limit_in_bytes" }),
    swap: cgroupFile(aegis.home, id, { v2: "memory.swap.max", v1: "memory.swappiness" }),
  });

  type Settings = ReturnType<typeof settings>;
  /** In the middle of it, the group has other settings than its own. */
  const isGoingBack = (id: string, own: Settings): boolean => JSON.stringify(settings(id)) !== JSON.stringify(own);
  const isBack = (id: string): boolean =>
    Number(cgroupFile(aegis.home, id, { v2: "memory.current", v1: "memory.usage_in_bytes" })) < (HELD_MB / 2) * MB;

  /** Pauses it into the middle of it. What is over before anybody looks begins anew. */
  const untilReclaiming = async ({ id, url }: { id: string; url: string }, own: Settings): Promise<void> => {
    for (;;) {
      await aegis.client.instances.pause(id);
      while (!isGoingBack(id, own) && !isBack(id)) await delay(POLL_MS);
      if (isGoingBack(id, own)) return;
      expect(await ask(url)).toBe("intact");
    }
  };

  it("goes back to the host, and the workload finds it all again", async () => {
    const { id, url } = await boot();
    const own = settings(id);
    const before = (await aegis.client.instances.get(id)).stats;
    expect(before?.resident_bytes).toBeGreaterThan(HELD_MB * MB);
    await aegis.client.instances.pause(id);
    const reclaimed = await nextReclaim(aegis, id);
    expect(reclaimed.before_bytes).toBeGreaterThan(HELD_MB * MB);
    expect(reclaimed.after_bytes).toBeLessThan(reclaimed.before_bytes / 4);
    const after = (await aegis.client.instances.get(id)).stats;
    expect(after?.resident_bytes).toBeLessThan(Number(before?.resident_bytes) / 4);
    expect(after?.memory_bytes).toBeLessThan(Number(before?.memory_bytes) / 4);
    expect(after?.swapped_bytes).toBeGreaterThan((HELD_MB / 2) * MB);
    expect(settings(id)).toEqual(own);
    expect(await ask(url)).toBe("intact");
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", failure: null });
    expect(settings(id)).toEqual(own);
  });

  it("is read ahead at a wake, before the workload wants it", async () => {
    const { id, url } = await boot();
    await aegis.client.instances.pause(id);
    expect((await nextReclaim(aegis, id)).after_bytes).toBeLessThan((HELD_MB / 2) * MB);
    expect(await ask(`${url}/idle`)).toBe("idle");
    await expect
      .poll(async () => (await aegis.client.instances.get(id)).stats?.memory_bytes)
      .toBeGreaterThan(HELD_MB * MB);
    expect(await ask(url)).toBe("intact");
  });

  it("stops going back as soon as a connection comes, which is answered", async () => {
    const { id, url } = await boot();
    const own = settings(id);
    for (let round = 0; round < 3; round++) {
      await untilReclaiming({ id, url }, own);
      expect(await ask(url)).toBe("intact");
      expect(settings(id)).toEqual(own);
    }
    const { stats } = await aegis.client.instances.get(id);
    expect(stats?.resident_bytes).toBeGreaterThan(HELD_MB * MB);
  });

  it("has its limit back when the daemon was killed in the middle of it", async () => {
    const { id, url } = await boot();
    const own = settings(id);
    await untilReclaiming({ id, url }, own);
    await aegis.kill9();
    while (!isGoingBack(id, own)) {
      // it was over before the kill
      await aegis.start();
      expect(await ask(url)).toBe("intact");
      await untilReclaiming({ id, url }, own);
      await aegis.kill9();
    }
    await aegis.start();
    expect(await ask(url)).toBe("intact");
    expect(settings(id)).toEqual(own);
  });

  it("is no hindrance to a stop and a delete in the middle of it", async () => {
    for (const end of ["stop", "delete"] as const) {
      const box = await boot();
      await untilReclaiming(box, settings(box.id));
      await aegis.client.instances[end](box.id);
    }
  });

  it("is a feature that the daemon names", async () => {
    expect((await aegis.client.status()).capabilities).toMatchObject({ reclaimsMemory: true });
  });
});

const ask = async (url: string): Promise<string> => (await fetch(url, { headers: { connection: "close" } })).text();

async function nextReclaim(aegis: Aegis, id: string): Promise<Extract<AegisEvent, { type: "instance.memory" }>> {
  const ending = new AbortController();
  try {
    for await (const event of aegis.client.events({ sinceSeq: 0, signal: ending.signal }))
      if (event.type === "instance.memory" && event.instance_id === id) return event;
  } finally {
    ending.abort();
  }
  throw new Error("the events ended");
}
