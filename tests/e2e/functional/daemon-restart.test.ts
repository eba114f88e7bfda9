import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { blockOf, hasEnded } from "../home-on-host.ts";
import { machinePid } from "../host-pid.ts";

const FOREVER = ["sleep", "infinity"];
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
/** where a workload waits to be told to go on: by its own network link, since there is no daemon meanwhile */
const GO_PORT = 9999;
/** Says "ready", waits for a connection, which it holds as its standard input, says some lines, then does what comes behind it. */
const onConnection = (then: string) => ({
  command: ["sh", "-c", `exec 3>&1; echo ready; exec nc -l -p ${GO_PORT} -e sh -c "$GO"`],
  env: { GO: `exec >&3 2>&1; for i in $(seq 500); do echo late $i; done; ${then}` },
});
const LATE = Array.from({ length: 500 }, (_, n) => `late ${n + 1}`);

/** Of a home on this host. */
function interfacesOf(home: string): string[] {
  return readdirSync("/sys/class/net").filter((name) => name.startsWith(`ag${blockOf(home)}-`));
}

describe("a daemon that is killed", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());
  afterEach(() => aegis.deleteAll());

  it("does not end its instances: the next one takes them up, with their ports, execs and logs", async () => {
    const serve = "echo $$ > /root/pid; exec httpd -f -p 8080 -h /www";
    const { id, endpoints } = await aegis.boot({ ...onConnection(serve), exposes: [8080] });
    await aegis.untilLogged(id, "ready");
    const address = await addressOf(id);
    await aegis.kill9();
    const go = await letGoOn(address);
    const direct = `http://${address}:8080`;
    await expect.poll(() => answerOf(direct)).toBe("hello from inside\n");
    await aegis.start();
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", failure: null, endpoints });
    expect(await aegis.sh(id, "pidof httpd")).toBe(await aegis.sh(id, "cat /root/pid"));
    expect(await answerOf(String(endpoints[0]?.url))).toBe("hello from inside\n");
    await aegis.untilLogged(id, "late 500");
    const lines = (await aegis.logs(id)).filter(({ source }) => source === "boot").map(({ line }) => line);
    expect(lines).toEqual(["ready", ...LATE]);
    go.destroy();
    await aegis.client.instances.restart(id);
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
  });

  it("learns how a workload ended meanwhile", async () => {
    const { id } = await aegis.boot(onConnection("exit 5"));
    await aegis.untilLogged(id, "ready");
    const address = await addressOf(id);
    await aegis.kill9();
    const go = await letGoOn(address);
    // the workload has held it to its end
    await once(go.resume(), "end");
    go.destroy();
    await aegis.start();
    expect(await aegis.reaches(id, "stopped")).toMatchObject({ exit_code: 5, failure: null });
    const lines = (await aegis.logs(id)).filter(({ source }) => source !== "exec").map(({ line }) => line);
    expect(lines).toEqual(["ready", ...LATE, "process exited (code 5)"]);
  });

  it("finds paused ones paused, stopped ones stopped, and leases as they were", async () => {
    const paused = await aegis.boot({ command: FOREVER });
    const stopped = await aegis.boot({ command: FOREVER });
    const leased = await aegis.boot({ command: FOREVER });
    const { instances } = aegis.client;
    await instances.pause(paused.id);
    await instances.stop(stopped.id);
    const lease = await instances.lease(leased.id, { ttl_ms: 60_000, reason: "kept" });
    await aegis.kill9();
    await aegis.start();
    expect(await instances.get(paused.id)).toMatchObject({ state: "paused" });
    expect(await instances.get(stopped.id)).toMatchObject({ state: "stopped" });
    expect(await instances.get(leased.id)).toMatchObject({ state: "running", leases: [lease] });
    expect(await aegis.sh(paused.id, "echo awake")).toBe("awake");
    await instances.start(stopped.id);
    expect(await instances.get(stopped.id)).toMatchObject({ state: "running" });
  });

  it("notices an instance whose machine is gone", async () => {
    const { id } = await aegis.boot({ command: FOREVER });
    const init = machinePid(aegis.home, id);
    await aegis.kill9();
    process.kill(init, "SIGKILL");
    await expect.poll(() => hasEnded(init)).toBe(true);
    await aegis.start();
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "stopped" });
    expect((await aegis.logs(id)).at(-1)?.line ?? "").not.toMatch(/undefined/);
    await aegis.client.instances.start(id);
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
  });

  it("in mid boot leaves nothing that the next one does not clear up or finish", async () => {
    for (let round = 0; round < 4; round++) {
      const { id } = await aegis.client.instances.create({ command: FOREVER });
      if (round > 0) await once(AbortSignal.timeout(round * 12), "abort");
      await aegis.kill9();
      await aegis.start();
      const { state } = await aegis.until(id, (instance) => instance.state !== "starting");
      expect(["running", "stopped"]).toContain(state);
      await aegis.client.instances.start(id);
      expect(await aegis.sh(id, "echo fine")).toBe("fine");
      await aegis.client.instances.delete(id);
    }
  });

  it("takes away an interface that nobody has, whose name and address an instance would need", async () => {
    const { id } = await aegis.boot({ command: FOREVER });
    const [own = ""] = interfacesOf(aegis.home);
    const stray = own.replace(/-\d+$/, "-700");
    await aegis.kill9();
    execFileSync("ip", ["link", "add", stray, "type", "veth", "peer", "name", `${stray}p`]);
    await aegis.start();
    expect(interfacesOf(aegis.home)).toEqual([own]);
    expect(await aegis.sh(id, "echo answers")).toBe("answers");
    await aegis.client.instances.delete(id);
  });

  it("keeps every event, numbered on", async () => {
    const { id } = await aegis.boot({ command: FOREVER });
    const before = await eventsOf(id);
    await aegis.kill9();
    await aegis.start();
    const after = await eventsOf(id);
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after.map(({ seq }) => seq)).toEqual(after.map(({ seq }) => seq).toSorted((a, b) => a - b));
  });

  it("leaves a stale socket that the next one replaces", async () => {
    await aegis.kill9();
    expect(existsSync(aegis.client.socketPath)).toBe(true);
    await expect(aegis.client.status()).rejects.toThrow(/aegis up/);
    await aegis.start();
    expect(await aegis.client.status()).toMatchObject({ status: "running" });
  });

  async function eventsOf(id: string) {
    const mark = `mark_${Date.now()}`;
    await aegis.client.secrets.put(mark, "x");
    const found = [];
    for await (const event of aegis.client.events()) {
      if (event.type === "secret.changed" && event.name === mark) break;
      if ("instance_id" in event && event.instance_id === id) found.push(event);
    }
    return found;
  }

  const addressOf = async (id: string) =>
    (await aegis.sh(id, "ip -4 addr show eth0")).match(/inet ([\d.]+)/)?.[1] ?? "no address";
});

/** What a server answers; empty while there is none. */
const answerOf = (url: string): Promise<string> =>
  fetch(url).then(
    (answer) => answer.text(),
    () => "",
  );

/** Connects to a workload that waits for it, as soon as it listens. */
async function letGoOn(host: string): Promise<Socket> {
  for (;;) {
    const socket = connect({ port: GO_PORT, host });
    try {
      await once(socket, "connect");
      return socket;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ECONNREFUSED")) throw error;
      await delay(20);
    }
  }
}

describe("daemons side by side", () => {
  it("do not share a home: the second says so and ends with an error", async () => {
    const aegis = await startAegis();
    try {
      const { code, output } = await runDaemon(aegis.env);
      expect(code).not.toBe(0);
      expect(output).toMatch(/Another aegisd/);
      expect(output).toMatch(/AEGIS_HOME/);
      expect(await aegis.client.status()).toMatchObject({ status: "running" });
      expect((await aegis.boot({ command: FOREVER })).state).toBe("running");
    } finally {
      await aegis.stop();
    }
  });

  it("have homes of their own, and may share their images", async () => {
    const images = join("/tmp", `aegis-e2e-images-${process.pid}`);
    mkdirSync(images);
    const env = { AEGIS_IMAGES: images };
    const first = await startAegis({ env });
    const second = await startAegis({ env, images: ["bare"] });
    try {
      const store = async (aegis: Aegis) => (await aegis.client.images.list()).map(({ digest }) => digest).toSorted();
      expect(await store(first)).toEqual(await store(second));
      const spec = { handle: "same", command: FOREVER, image_ref: "test/busybox:1" };
      const [one, two] = await Promise.all([first.boot(spec), second.boot(spec)]);
      expect([one.state, two.state]).toEqual(["running", "running"]);
      expect(one.id).not.toBe(two.id);
      await first.kill9();
      expect(await second.sh("same", "echo untouched")).toBe("untouched");
      await first.start();
      expect(await first.sh("same", "echo back")).toBe("back");
      await first.stop();
      expect(await second.sh("same", "echo alone")).toBe("alone");
    } finally {
      if (existsSync(first.home)) await first.stop();
      await second.stop();
      rmSync(images, { recursive: true, force: true });
    }
  });

  it("take the place of a file that only looks like a socket or a pid", async () => {
    const aegis = await startAegis();
    await aegis.kill9();
    rmSync(aegis.client.socketPath);
    const stale = createServer().listen(aegis.client.socketPath);
    await once(stale, "listening");
    writeFileSync(join(aegis.home, "data/aegisd.pid"), "1\n");
    stale.close();
    await once(stale, "close");
    writeFileSync(aegis.client.socketPath, "no socket");
    await aegis.start();
    expect(Number(readFileSync(join(aegis.home, "data/aegisd.pid"), "utf8"))).toBe((await aegis.client.status()).pid);
    await aegis.stop();
  });

  it("refuse settings that make no sense, by name", async () => {
    const home = `/tmp/aegis-e2e-bad-${process.pid}`;
    for (const [name, value] of [
      ["AEGIS_ROUTER_PORT", "http"],
      ["AEGIS_RUNTIME", "docker"],
      ["AEGIS_REGISTRY_MIRRORS", "docker.io"],
      ["AEGIS_SUBNET", "10.0.0.0/30"],
      ["AEGIS_GUEST_DIR", "/nowhere"],
    ] as const) {
      const { code, output } = await runDaemon({ PATH: process.env["PATH"] ?? "", AEGIS_HOME: home, [name]: value });
      expect(code).toBe(1);
      expect(output).toContain(name === "AEGIS_GUEST_DIR" ? value : name);
    }
    rmSync(home, { recursive: true, force: true });
  });

  async function runDaemon(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
    const args = ["--disable-warning=ExperimentalWarning", join(ROOT, "packages/daemon/src/main.ts")];
    const daemon = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    const [output, [code]] = await Promise.all([text(daemon.stderr), once(daemon, "exit") as Promise<[number | null]>]);
    return { code, output };
  }
});
