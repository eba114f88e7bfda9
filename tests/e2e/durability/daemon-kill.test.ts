import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { AegisEvent } from "../../../packages/protocol/src/event.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { isMicrovm } from "../driver-host.ts";
import { machinePid } from "../host-pid.ts";

const FOREVER = ["sleep", "infinity"];
/** how soon a daemon that is there serves, on a machine that others use too */
const SOON_MS = 10_000;

describe("kill -9 of aegisd", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());
  afterEach(() => aegis.deleteAll());

  it("breaks connections, and a client that dials again is served as soon as the daemon answers", async () => {
    const { id, endpoints } = await aegis.boot({
      command: ["sh", "-c", "echo $$ > /tmp/pid; exec nc -ll -p 7000 -e cat"],
      exposes: [{ port: 7000, protocol: "tcp" }],
    });
    const port = endpoints[0]?.public_port ?? 0;
    await echo(port, "before");
    const open = net.connect(port, "127.0.0.1");
    await once(open, "connect");
    open.on("error", () => open.destroy());
    const closed = new Promise((resolve) => open.once("close", resolve));
    await aegis.kill9();
    open.resume();
    await closed;
    const served = dialUntilServed(port, "after");
    await aegis.start();
    const answered = Date.now();
    expect(await served).toBe("after");
    expect(Date.now() - answered).toBeLessThan(SOON_MS);
    expect(await aegis.sh(id, "cat /tmp/pid")).not.toBe("");
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", failure: null, endpoints });
  });

  it("lets a lease end when it was to end", async () => {
    const { id } = await aegis.boot({ command: FOREVER });
    const lease = await aegis.client.instances.lease(id, { ttl_ms: 8000, reason: "eight seconds" });
    await delay(Math.max(Date.parse(lease.expires_at) - 4000 - Date.now(), 0));
    await aegis.kill9();
    await aegis.start();
    const anew = Date.now() + 8000;
    const released = await eventOf(id, (event) => event.type === "lease.released");
    const late = Date.parse(released.ts) - Date.parse(lease.expires_at);
    expect(late).toBeGreaterThanOrEqual(-5);
    expect(Date.parse(released.ts)).toBeLessThan(anew);
    expect(await aegis.client.instances.get(id)).toMatchObject({ leases: [], lease_held: false });
  });

  it("lets one that expired meanwhile be gone", async () => {
    const { id } = await aegis.boot({ command: FOREVER });
    const lease = await aegis.client.instances.lease(id, { ttl_ms: 200, reason: "short" });
    await aegis.kill9();
    await delay(Math.max(Date.parse(lease.expires_at) - Date.now(), 0));
    await aegis.start();
    await eventOf(id, (event) => event.type === "lease.released");
    expect(await aegis.client.instances.get(id)).toMatchObject({ leases: [] });
  });

  it("lets the idle timer go on from where it was", async () => {
    const limit = 12;
    const { id, created_at } = await aegis.boot({
      command: FOREVER,
      pause_after_idle_s: limit,
      idle_policy: "leases_only",
    });
    const running = await eventOf(id, (event) => event.type === "instance.state" && event.state === "running");
    await delay(Math.max(Date.parse(created_at) + 6000 - Date.now(), 0));
    await aegis.kill9();
    await aegis.start();
    const anew = Date.now() + limit * 1000;
    const paused = await eventOf(id, (event) => event.type === "instance.state" && event.state === "paused");
    const idle = Date.parse(paused.ts) - Date.parse(running.ts);
    expect(idle).toBeGreaterThanOrEqual(limit * 1000 - 100);
    expect(Date.parse(paused.ts)).toBeLessThan(anew);
  });

  it("gives one that works without a word the time to say so", async () => {
    const { id } = await aegis.boot({
      command: ["sh", "-c", "while :; do :; done"],
      pause_after_idle_s: 7,
      vcpus: 0.5,
    });
    await aegis.kill9();
    await delay(8000);
    await aegis.start();
    await delay(7500);
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
  });

  it("lets a pause that was to end in a stop do so on time", async () => {
    const { id } = await aegis.boot({ command: FOREVER, stop_after_paused_s: 12, hibernate: false });
    await aegis.client.instances.pause(id);
    const paused = await eventOf(id, (event) => event.type === "instance.state" && event.state === "paused");
    await delay(Math.max(Date.parse(paused.ts) + 6000 - Date.now(), 0));
    await aegis.kill9();
    await aegis.start();
    const anew = Date.now() + 12_000;
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "paused" });
    const stopped = await eventOf(id, (event) => event.type === "instance.state" && event.state === "stopped");
    const took = Date.parse(stopped.ts) - Date.parse(paused.ts);
    expect(took).toBeGreaterThanOrEqual(11_900);
    expect(Date.parse(stopped.ts)).toBeLessThan(anew);
  });

  it("loses no line that is written while nobody listens, nor one that was on its way", async () => {
    const { id } = await aegis.boot({
      command: [
        "sh",
        "-c",
        "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo line $i; [ $((i % 20)) = 0 ] && sleep 0.02; done; echo end; exec sleep 999",
      ],
    });
    await aegis.untilLogged(id, "line 100");
    for (let kills = 0; kills < 3; kills++) {
      await aegis.kill9();
      await aegis.start();
    }
    await aegis.untilLogged(id, "end");
    const lines = (await aegis.logs(id)).filter(({ source }) => source === "boot").map(({ line }) => line);
    expect(lines).toEqual([...Array.from({ length: 4000 }, (_, n) => `line ${n + 1}`), "end"]);
  });

  it("says how many lines were dropped when too many came meanwhile", async () => {
    // where this test gets at it while there is no daemon
    const inside = isMicrovm ? "/workspace" : "/tmp";
    const { id } = await aegis.boot({
      command: [
        "sh",
        "-c",
        `cd ${inside}; echo ready; while [ ! -e go ]; do sleep 0.05; done; seq 60000 | sed 's/^/flood /'; echo done > done; exec sleep 999`,
      ],
      ...(isMicrovm ? { workspace: "told" } : {}),
    });
    await aegis.untilLogged(id, "ready");
    const folder = isMicrovm
      ? join(aegis.home, "data/workspaces/told")
      : join(`/proc/${machinePid(aegis.home, id)}/root`, inside);
    await aegis.kill9();
    writeFileSync(join(folder, "go"), "");
    await expect.poll(() => existsSync(join(folder, "done"))).toBe(true);
    await aegis.start();
    // who follows is cut off when it lags behind as many lines as come now at once
    await expect.poll(async () => (await aegis.logs(id)).map(({ line }) => line)).toContain("flood 60000");
    const lines = await aegis.logs(id);
    const said = lines.find(({ source, line }) => source === "system" && /lines were dropped/.test(line))?.line ?? "0";
    const kept = lines.filter(({ line }) => line.startsWith("flood")).length;
    expect(kept + Number.parseInt(said, 10)).toBe(60_000);
    expect(Number.parseInt(said, 10)).toBeGreaterThan(0);
  });

  async function eventOf(id: string, wanted: (event: AegisEvent) => boolean): Promise<AegisEvent> {
    const ending = new AbortController();
    try {
      for await (const event of aegis.client.events({ signal: ending.signal }))
        if ("instance_id" in event && event.instance_id === id && wanted(event)) return event;
    } finally {
      ending.abort();
    }
    throw new Error("the events ended");
  }
});

async function echo(port: number, word: string): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write(word);
    const [answer] = (await once(socket, "data")) as [Buffer];
    return answer.toString();
  } finally {
    socket.destroy();
  }
}

async function dialUntilServed(port: number, word: string): Promise<string> {
  for (;;) {
    const answer = await Promise.race([echo(port, word).catch(() => null), delay(2000, null)]);
    if (answer !== null) return answer;
    await delay(20);
  }
}
