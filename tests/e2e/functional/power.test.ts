import { once } from "node:events";
import { Agent, get } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { PauseHook } from "@aegis/protocol/instance";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";
import { guestCall } from "../guest-call.ts";
import { OutsideNetwork } from "../outside-network.ts";

const FOREVER = ["sleep", "infinity"];
const FROZEN_MS = 3000;

/** Prints the time, then counts how often an interval fired, and how often at most within 40 ms. */
const TICKER = `
const ticks = [];
setInterval(() => ticks.push(Date.now()), 50);
require("node:http").createServer((_, answer) => {
  const busiest = Math.max(...ticks.map((from) => ticks.filter((at) => at >= from && at < from + 40).length));
  const gap = Math.max(...ticks.slice(1).map((at, n) => at - ticks[n]));
  answer.end(JSON.stringify({ now: Date.now(), busiest, gap }));
}).listen(8080);
`;

/** Greets, says more on USR2, and ends on TERM. */
const OUTSIDE_SERVER = `
const sockets = new Set();
const server = require("node:net").createServer((socket) => {
  sockets.add(socket);
  socket.write("hello\\n");
});
process.on("SIGUSR2", () => sockets.forEach((socket) => socket.write("meanwhile\\n")));
server.listen(9090, "203.0.113.10", () => console.log("ready"));
`;

describe("power", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis({ images: ["busybox", "node"] });
  });
  afterAll(() => aegis.stop());
  afterEach(() => aegis.deleteAll());

  const history = async (id: string) => (await aegis.client.instances.get(id)).power_history ?? [];
  const reasons = async (id: string) => (await history(id)).map(({ reason }) => reason);

  describe("time", () => {
    it("goes on for the clock, and does not come in a storm for timers", async () => {
      const { id, endpoints } = await aegis.boot({
        command: ["/bin/node", "-e", TICKER],
        image_ref: IMAGES.node,
        exposes: [8080],
        pause_after_idle_s: null,
      });
      const url = endpoints[0]?.url ?? "";
      const ask = async () => (await (await fetch(url)).json()) as { now: number; busiest: number; gap: number };
      // an empty list has the maximum -Infinity, which JSON does not know
      await expect.poll(ask).toMatchObject({ gap: expect.any(Number) });
      await aegis.client.instances.pause(id);
      await delay(FROZEN_MS);
      const asked = Date.now();
      await ask();
      await expect.poll(async () => (await ask()).gap).toBeGreaterThan(FROZEN_MS / 2);
      await delay(200);
      const after = await ask();
      expect(after.now).toBeGreaterThanOrEqual(asked);
      expect(after.now).toBeLessThanOrEqual(Date.now());
      expect(after.gap).toBeGreaterThanOrEqual(FROZEN_MS - 100);
      // 60 ticks were missed; they are not made up for
      expect(after.busiest).toBeLessThanOrEqual(3);
    });

    it("takes nothing away from a connection to the outside, and an end in the meantime is clean", async () => {
      const outside = new OutsideNetwork();
      try {
        await outside.start();
        const server = outside.spawn(process.execPath, "-e", OUTSIDE_SERVER);
        if (server.stdout !== null) await once(server.stdout, "data");
        const client = `nc ${outside.outside} 9090 </root/in >/root/got`;
        const script = `mkfifo /root/in; sleep 1000 >/root/in & ${client}; echo over >>/root/got; sleep 1000`;
        const { id } = await aegis.boot({ command: ["sh", "-c", script], pause_after_idle_s: null });
        const got = () => aegis.sh(id, "cat /root/got");
        await expect.poll(got).toBe("hello");
        await aegis.client.instances.pause(id);
        server.kill("SIGUSR2");
        await delay(500);
        await expect.poll(got).toBe("hello\nmeanwhile");
        await aegis.client.instances.pause(id);
        server.kill("SIGTERM");
        await delay(500);
        await expect.poll(got).toBe("hello\nmeanwhile\nover");
      } finally {
        await outside.stop();
      }
    });
  });

  describe("connections", () => {
    it("that HTTP keeps open do not keep it awake, and work on after a pause", async () => {
      const { id, endpoints } = await aegis.boot({
        command: ["/bin/node", "-e", TICKER],
        image_ref: IMAGES.node,
        exposes: [8080],
        idle_policy: "leases_only",
        pause_after_idle_s: 1,
        stop_after_paused_s: null,
      });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const ports = new Set<number | undefined>();
      const ask = async () => {
        const { promise, resolve, reject } = Promise.withResolvers<string>();
        get(endpoints[0]?.url ?? "", { agent }, (answer) => {
          ports.add(answer.socket.localPort);
          text(answer).then(resolve, reject);
        }).on("error", reject);
        expect(await promise).toMatch(/^\{"now"/);
      };
      try {
        await ask();
        expect(await aegis.client.instances.get(id)).toMatchObject({ active_connections: 1 });
        await aegis.reaches(id, "paused");
        // the server's own keep-alive timeout has run out while it was frozen or not: either way this is answered
        await ask().catch(ask);
        const states = (await history(id)).map(({ state }) => state);
        expect(states.slice(states.indexOf("paused"))).toContain("running");
        expect(ports.size).toBeGreaterThan(0);
      } finally {
        agent.destroy();
      }
    });
  });

  describe("leases", () => {
    it("from inside are the instance's own: others it cannot end, and they are over with its boot", async () => {
      const { id } = await aegis.boot({ command: FOREVER });
      const host = await aegis.client.instances.lease(id, { ttl_ms: 60_000, reason: "build" });
      const own = await guestCall<{ lease_id: string }>(aegis, id, "POST", "/v1/self/keepalive", {
        ttl_ms: 60_000,
        reason: "turn",
      });
      expect(own.body).toMatchObject({ owner: id, reason: "turn" });
      expect(host).toMatchObject({ owner: "host" });
      const release = (lease_id: string) => guestCall(aegis, id, "DELETE", "/v1/self/keepalive", { lease_id });
      expect(await release(host.lease_id)).toMatchObject({ status: 404, body: { code: "lease_not_found" } });
      expect((await release(own.body.lease_id)).status).toBe(204);
      expect((await guestCall(aegis, id, "DELETE", "/v1/self/keepalive", {})).status).toBe(404);
      const day = { ttl_ms: 86_400_001, reason: "for ever" };
      expect(await guestCall(aegis, id, "POST", "/v1/self/keepalive", day)).toMatchObject({ status: 400 });
      await guestCall(aegis, id, "POST", "/v1/self/keepalive", { ttl_ms: 60_000, reason: "turn" });
      expect((await aegis.client.instances.get(id)).leases).toHaveLength(2);
      await aegis.client.instances.stop(id);
      expect((await aegis.client.instances.get(id)).leases).toEqual([host]);
    });
  });

  describe("a pause hook", () => {
    const hook: PauseHook = {
      command: ["sh", "-c", `test ! -e /root/busy || { echo "a build runs" >&2; exit 1; }; echo '{"ticket":7}'`],
      resume: { command: ["sh", "-c", 'read -r line; echo "$AEGIS_PAUSE_TOKEN $line" >>/root/resumed'] },
    };

    it("is asked before a pause, may say no, and is told of the resume by the next daemon too", async () => {
      const { id } = await aegis.boot({ command: FOREVER, pause_hook: hook, idle_policy: "leases_only" });
      await aegis.sh(id, "touch /root/busy");
      await expect(aegis.client.instances.pause(id)).rejects.toMatchObject({
        code: "wrong_state",
        message: expect.stringContaining("a build runs"),
      });
      await aegis.client.instances.update(id, { pause_after_idle_s: 0.2, stop_after_paused_s: null });
      await expect.poll(() => reasons(id)).toContain("pause postponed: a build runs");
      await aegis.client.instances.update(id, { pause_after_idle_s: null });
      await aegis.sh(id, "rm /root/busy");
      await aegis.client.instances.pause(id);
      await aegis.kill9();
      await aegis.start();
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "paused" });
      const told = () => aegis.sh(id, "cat /root/resumed 2>/dev/null || true");
      await expect.poll(told).toBe('{"ticket":7} {"ticket":7}');
    });
  });

  describe("a restart policy", () => {
    it("starts again what ended, also when that happened without a daemon, until it is stopped", async () => {
      const { id } = await aegis.boot({
        command: ["sh", "-c", "echo run >>/root/runs; sleep 0.3; exit 3"],
        restart: "on-failure",
      });
      await expect.poll(() => reasons(id)).toContain("exited with code 3; starts again in 0.4 s (restart: on-failure)");
      await aegis.kill9();
      await delay(500);
      await aegis.start();
      const known = (await history(id)).length;
      await expect.poll(async () => (await history(id)).length).toBeGreaterThan(known + 2);
      await aegis.client.instances.stop(id);
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "stopped", restart_at: null });
    });
  });
});
