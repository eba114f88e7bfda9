import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { InstanceView } from "@aegis/protocol/instance";
import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { anInstance } from "./an-instance.ts";
import { aegis } from "./run-in-test.ts";

const GRANT = { spawn: true, spawn_depth: 2, max_children: 4, max_expose_ports: 1 };
const TREE: NonNullable<InstanceView["tree"]> = {
  used: { instances: 3, memory_mb: 768, vcpus: 2.5, disk_mb: 3000 },
  left: { instances: 1, memory_mb: 256, vcpus: 1.5, disk_mb: 1000 },
  children: 2,
  children_left: 1,
  stats: { memory_bytes: 52_428_800, cpu_ms: 4200, processes: 9, disk_bytes: 0 },
};

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon.close());

const run = (line: string | string[]) => aegis(line, { home: daemon.home });

describe("instance grant and revoke", () => {
  beforeEach(() => {
    daemon.routes["PUT /v1/instances/web/capabilities"] = () => ({ body: anInstance({ capabilities: GRANT }) });
    daemon.routes["DELETE /v1/instances/web/capabilities"] = () => ({ body: anInstance({ tree: TREE }) });
  });

  it("take the grant as JSON or from a file", async () => {
    const file = join(daemon.home, "grant.json");
    writeFileSync(file, JSON.stringify(GRANT));
    for (const said of [JSON.stringify(GRANT), `@${file}`]) {
      const { code, stdout } = await run(["instance", "grant", "web", said]);
      expect([code, stdout]).toEqual([0, "web may have 4 children, 2 levels deep, 1 port each\n"]);
      expect(daemon.calls.at(-1)).toMatchObject({ method: "PUT", body: GRANT });
    }
  });

  it.each(["{", "[]", "null", "@/no/such/file"])("refuse %s before the daemon is asked", async (said) => {
    expect((await run(["instance", "grant", "web", said])).code).not.toBe(0);
    expect(daemon.calls).toEqual([]);
  });

  it("say what became of those below", async () => {
    expect((await run("instance revoke web")).stdout).toBe(
      "web has no capabilities any more; the 3 below it stopped\n",
    );
  });
});

describe("a tree", () => {
  it("is shown in instance info, with what is left and when it ends", async () => {
    const expires_at = "2026-01-31T14:00:00Z";
    daemon.routes["GET /v1/instances/web"] = () => ({
      body: anInstance({ capabilities: GRANT, tree: TREE, parent_id: "inst-0", expires_at }),
    });
    const { stdout } = await run("instance info web");
    expect(stdout).toMatch(/parent: +inst-0/);
    expect(stdout).toMatch(/may: +have 4 children, 2 levels deep/);
    expect(stdout).toContain("3, 2 of them its own: 768 MB, 2.5 vcpus, 3000 MB of disk; 50 MB and 4.2 s of CPU");
    expect(stdout).toContain("1 more with 256 MB, 1.5 vcpus, 1000 MB of disk left");
    expect(stdout).toMatch(/ends: +in 2 hours, for good/);
  });
});

describe("a new instance", () => {
  it("is given its grant, its lifetime and what becomes of its children", async () => {
    daemon.routes["POST /v1/instances"] = () => ({ status: 201, body: anInstance({ state: "starting" }) });
    daemon.routes["GET /v1/instances/inst-1"] = () => ({ body: anInstance() });
    const words = ["instance", "start", "--name", "web", "--grant", JSON.stringify(GRANT)];
    await run([...words, "--lifetime", "2h", "--orphans", "keep", "--", "sleep", "5"]);
    expect(daemon.calls[0]?.body).toMatchObject({ capabilities: GRANT, lifetime_s: 7200, orphans: "keep" });
  });
});
