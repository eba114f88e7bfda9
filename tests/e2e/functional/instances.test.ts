import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { isMicrovm, notInVm } from "../driver-host.ts";
import { cgroupFile } from "../cgroup-file.ts";

const FOREVER = ["sleep", "infinity"];
const FREEZER = { v2: "cgroup.freeze", v1: "freezer.state" };

describe("instances", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());
  afterEach(() => aegis.deleteAll());

  describe("a life", () => {
    it("is created, listed, stopped, started, restarted and deleted, and events tell of it", async () => {
      const { instances } = aegis.client;
      const created = await instances.create({ handle: "life", command: FOREVER });
      expect(created).toMatchObject({ handle: "life", state: "starting", command: FOREVER, endpoints: [] });
      const running = await aegis.reaches("life", "running");
      expect(running).toMatchObject({ id: created.id, enabled: true, failure: null, exit_code: null });
      expect(running.stats?.processes).toBeGreaterThan(1);
      expect((await instances.list()).map(({ id }) => id)).toEqual([created.id]);
      expect(await instances.list({ state: "paused" })).toEqual([]);

      await instances.stop("life");
      expect(await instances.get("life")).toMatchObject({ state: "stopped", enabled: true, stats: null });
      await instances.stop("life");
      await instances.start("life");
      await instances.start("life");
      expect(await instances.get("life")).toMatchObject({ state: "running" });
      await instances.restart("life");
      expect(await instances.get("life")).toMatchObject({ state: "running" });
      await instances.delete("life");
      await expect(instances.get(created.id)).rejects.toMatchObject({ code: "instance_deleted" });
      await expect(instances.get("nobody")).rejects.toMatchObject({ code: "instance_not_found" });

      expect(await states(created.id)).toEqual([
        "starting",
        "running",
        "stopped",
        "starting",
        "running",
        "stopped",
        "starting",
        "running",
        "stopped",
      ]);
    });

    it("pauses every process and goes on where it was", async () => {
      const { id } = await aegis.boot({ command: ["sh", "-c", "while :; do :; done"] });
      await aegis.client.instances.pause(id);
      await aegis.client.instances.pause(id);
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "paused" });
      if (!isMicrovm) expect(["1", "FROZEN"]).toContain(cgroupFile(aegis.home, id, FREEZER));
      await aegis.client.instances.resume(id);
      await aegis.client.instances.resume(id);
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
      if (!isMicrovm) expect(["0", "THAWED"]).toContain(cgroupFile(aegis.home, id, FREEZER));
      expect(await aegis.sh(id, "echo back")).toBe("back");
    });

    it("stops, disables and deletes a paused instance", async () => {
      for (const end of ["stop", "disable", "delete"] as const) {
        const { id } = await aegis.boot({ command: FOREVER });
        await aegis.client.instances.pause(id);
        await aegis.client.instances[end](id);
      }
      expect((await aegis.client.instances.list()).map(({ state }) => state)).toEqual(["stopped", "stopped"]);
    });

    it("refuses what does not fit the state, and says which it is", async () => {
      const { id, handle } = await aegis.boot({ command: FOREVER });
      await aegis.client.instances.stop(id);
      for (const refused of [
        aegis.client.instances.pause(id),
        aegis.client.instances.resume(id),
        aegis.exec(id, ["true"]),
      ])
        await expect(refused).rejects.toMatchObject({
          code: "wrong_state",
          message: expect.stringContaining(`${handle} is stopped`),
        });
    });

    it("stays down when disabled, until it is started", async () => {
      const { id } = await aegis.boot({ command: FOREVER });
      await aegis.client.instances.disable(id);
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "stopped", enabled: false });
      await expect(aegis.exec(id, ["true"])).rejects.toMatchObject({ code: "wrong_state" });
      await aegis.client.instances.start(id);
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", enabled: true });
    });

    it("takes a stopped instance up again under its handle, and refuses one that is not stopped", async () => {
      const first = await aegis.boot({ handle: "again", command: FOREVER, env: { WHO: "first" } });
      await expect(aegis.boot({ handle: "again", command: ["true"] })).rejects.toMatchObject({ code: "handle_taken" });
      await aegis.client.instances.stop("again");
      const second = await aegis.boot({ handle: "again" });
      expect(second).toMatchObject({ id: first.id, command: FOREVER, state: "running" });
      expect(await aegis.sh("again", "echo $WHO")).toBe("first");
    });

    it("can be cancelled in mid boot, and leaves nothing behind", async () => {
      for (let round = 0; round < 3; round++) {
        const { id } = await aegis.client.instances.create({ command: FOREVER });
        await (round === 0 ? aegis.client.instances.stop(id) : aegis.client.instances.delete(id));
      }
      expect((await aegis.client.instances.list()).map(({ state }) => state)).toEqual(["stopped"]);
    });

    it("survives being pulled in all directions at once", async () => {
      const { instances } = aegis.client;
      const { id } = await aegis.boot({ command: FOREVER });
      const verbs = ["pause", "start", "restart", "resume", "stop", "start"] as const;
      await Promise.allSettled(verbs.map((verb) => instances[verb](id)));
      await instances.start(id);
      expect(await instances.get(id)).toMatchObject({ state: "running", failure: null });
      expect(await aegis.sh(id, "echo fine")).toBe("fine");
    });

    it("boots several at once", async () => {
      const boxes = await Promise.all(Array.from({ length: 6 }, () => aegis.boot({ command: FOREVER })));
      expect(boxes.map(({ state }) => state)).toEqual(boxes.map(() => "running"));
      const addresses = await Promise.all(boxes.map(({ id }) => aegis.sh(id, "hostname -i; ip -4 -o addr show eth0")));
      expect(new Set(addresses).size).toBe(boxes.length);
    });

    it("falls asleep by itself when nothing happens, then stops", async () => {
      const { id } = await aegis.boot({
        command: FOREVER,
        pause_after_idle_s: 0.2,
        stop_after_paused_s: 0.2,
        hibernate: false,
      });
      await aegis.reaches(id, "stopped");
      expect(await states(id)).toEqual(["starting", "running", "paused", "stopped"]);
    });

    it("does not fall asleep under a lease, and does when it ends", async () => {
      const { id } = await aegis.boot({ command: FOREVER, pause_after_idle_s: 0.2, stop_after_paused_s: null });
      const lease = await aegis.client.instances.lease(id, { ttl_ms: 60_000, reason: "a test" });
      expect(await aegis.client.instances.get(id)).toMatchObject({ lease_held: true, lease_reason: "a test" });
      // a second instance that falls asleep later than the first one would have
      const other = await aegis.boot({ command: FOREVER, pause_after_idle_s: 0.3 });
      await aegis.reaches(other.id, "paused");
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
      await aegis.client.instances.releaseLease(id, lease.lease_id);
      await aegis.reaches(id, "paused");
      await aegis.client.instances.lease(id, { ttl_ms: 200, reason: "short" });
    });
  });

  describe("a workload", () => {
    it.each([0, 3, 255])("that ends with code %i stops the instance with that code", async (code) => {
      const { id } = await aegis.boot({ command: ["sh", "-c", `echo out; echo err >&2; exit ${code}`] });
      const ended = await aegis.reaches(id, "stopped");
      expect(ended).toMatchObject({ exit_code: code, failure: null });
      const logs = await aegis.logs(id);
      expect(
        logs
          .filter(({ source }) => source === "boot")
          .map(({ stream, line }) => `${stream} ${line}`)
          .toSorted(),
      ).toEqual(["stderr err", "stdout out"]);
      expect(logs.at(-1)).toMatchObject({ source: "system", line: `process exited (code ${code})` });
    });

    it("that ends by a signal says so in its code", async () => {
      const { id } = await aegis.boot({ command: ["sh", "-c", "kill -9 $$"] });
      expect(await aegis.reaches(id, "stopped")).toMatchObject({ exit_code: 137, failure: null });
    });

    it("is asked to end before it is killed", async () => {
      const script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
      const { id } = await aegis.boot({ command: ["sh", "-c", script] });
      await aegis.untilLogged(id, "ready");
      await aegis.client.instances.stop(id);
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "stopped", exit_code: 7 });
      const lines = (await aegis.logs(id)).map(({ line }) => line);
      expect(lines.slice(-2)).toEqual(["bye", "process exited (code 7): stopped by request"]);
    });

    it("that cannot be found fails the instance with the reason", async () => {
      const { id } = await aegis.boot({ command: ["no-such-program", "x"] });
      const failed = await aegis.client.instances.get(id);
      expect(failed.state).toBe("failed");
      expect(failed.failure).toMatch(/no-such-program/);
      expect(failed.failure).toMatch(/PATH|not found/i);
      await expect(aegis.exec(id, ["true"])).rejects.toMatchObject({ code: "wrong_state" });
      expect((await aegis.logs(id)).at(-1)?.line).toContain("boot failed");
    });

    it("sees the image's environment, its own and what it was given, and nothing of the host's", async () => {
      await aegis.client.secrets.put("API_KEY", "s3cret-value");
      const { id } = await aegis.boot({
        command: FOREVER,
        env: { MINE: "with space\nand line", FROM_IMAGE: "overruled" },
        secrets: ["API_KEY", "OTHER=API_KEY"],
      });
      const env = new Map(
        (await aegis.sh(id, "cat /proc/self/environ | tr '\\n' ' ' | tr '\\0' '\\n'"))
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      );
      expect(Object.fromEntries(env)).toMatchObject({
        MINE: "with space and line",
        FROM_IMAGE: "overruled",
        API_KEY: "s3cret-value",
        OTHER: "s3cret-value",
        AEGIS_INSTANCE_ID: id,
        AEGIS_GUEST_API: "http://127.0.0.1:7777",
        PATH: "/bin:/usr/bin:/.aegis/bin",
        HOME: "/root",
      });
      expect([...env.keys()].filter((name) => name.startsWith("AEGIS_")).toSorted()).toEqual([
        "AEGIS_GUEST_API",
        "AEGIS_INSTANCE_ID",
      ]);
      expect(await aegis.client.instances.get(id)).toMatchObject({ secret_keys: ["API_KEY", "OTHER"] });
      expect(JSON.stringify(await aegis.client.instances.get(id))).not.toContain("s3cret-value");
    });

    describe("in its control group on the host", () => {
      beforeEach(notInVm("the limits of what runs in a virtual machine are its own kernel's"));

      it("gets the vcpus that were asked, in its control group", async () => {
        const { id } = await aegis.boot({ command: FOREVER, vcpus: 0.5 });
        expect(cgroupFile(aegis.home, id, { v2: "cpu.max", v1: "cpu.cfs_quota_us" })).toMatch(/^50000\b/);
      });
    });

    it("keeps its disk over a stop and loses it with the instance", async () => {
      const { id } = await aegis.boot({ command: FOREVER });
      await aegis.sh(id, "echo kept > /root/file");
      await aegis.client.instances.restart(id);
      expect(await aegis.sh(id, "cat /root/file")).toBe("kept");
      const disk = join(aegis.home, "data/instances", id);
      expect(statSync(disk).isDirectory()).toBe(true);
      await aegis.client.instances.delete(id);
      expect(() => statSync(disk)).toThrow(/ENOENT/);
      const fresh = await aegis.boot({ command: FOREVER });
      expect(await aegis.sh(fresh.id, "ls -A /root")).toBe("");
    });

    it("with a read-only root can write to /tmp only", async () => {
      const { id } = await aegis.boot({ command: FOREVER, read_only_root: true });
      expect(await aegis.sh(id, "echo x > /tmp/x && cat /tmp/x")).toBe("x");
      for (const path of ["/x", "/bin/x", "/etc/passwd", "/.aegis/x"]) {
        const { code, stderr } = await aegis.exec(id, ["sh", "-c", `echo x >> ${path}`]);
        expect(code).not.toBe(0);
        expect(stderr).toMatch(/read-only|denied/i);
      }
      expect(await aegis.sh(id, "guest-api GET /v1/self")).toContain("200 OK");
    });
  });

  describe("bad input", () => {
    it.each([
      ["malformed JSON", '{"command":', 400, "invalid_json", "not valid JSON"],
      ["an unknown field", '{"command":["true"],"comand":1}', 400, "unknown_field", "comand"],
      ["no command", "{}", 400, "invalid_request", "needs a command"],
      ["an empty command", '{"command":[]}', 400, "invalid_request", "command"],
      ["a bad handle", '{"command":["true"],"handle":"-x"}', 400, "invalid_request", "handle"],
      ["a port out of range", '{"command":["true"],"exposes":[70000]}', 400, "invalid_request", "exposes"],
      ["a port twice", '{"command":["true"],"exposes":[80,80]}', 400, "invalid_request", "twice"],
      ["too little memory", '{"command":["true"],"memory_mb":1}', 400, "invalid_request", "memory_mb"],
      ["an unknown secret", '{"command":["true"],"secrets":["NOPE"]}', 404, "secret_not_found", "NOPE"],
      ["a body of two megabytes", JSON.stringify({ command: ["x".repeat(2_000_000)] }), 413, "too_large", ""],
    ])("%s is refused", async (_what, body, status, code, words) => {
      const answer = await aegis.call("POST", "/v1/instances", body);
      expect(answer.status).toBe(status);
      expect(JSON.parse(answer.text)).toMatchObject({ code, error: expect.stringContaining(words) });
      expect(await aegis.client.instances.list()).toEqual([]);
    });

    it("an unknown image fails the instance with the reason", async () => {
      const { id } = await aegis.boot({ command: FOREVER, image_ref: "127.0.0.1:1/no/such:image" });
      expect(await aegis.client.instances.get(id)).toMatchObject({
        state: "failed",
        failure: expect.stringContaining("127.0.0.1:1"),
      });
    });
  });

  async function states(id: string): Promise<string[]> {
    const found: string[] = [];
    const mark = `mark_${id.slice("inst-".length)}`;
    // what happened before this is all there is to read
    await aegis.client.secrets.put(mark, "x");
    for await (const event of aegis.client.events()) {
      if (event.type === "secret.changed" && event.name === mark) break;
      if (event.type === "instance.state" && event.instance_id === id) found.push(event.state);
    }
    return found;
  }
});
