import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";
import { FakeHost } from "../../src/drivers/fake/fake-driver.ts";
import { openHome } from "../../src/home.ts";
import { daemonFixture, type DaemonFixture } from "../daemon-fixture.ts";
import { carry } from "./http-lane.ts";

/** On a home in memory: what the disk can take is not the question here. */
export async function quickFixture(): Promise<DaemonFixture> {
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "aegis-fuzz-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  return daemonFixture({ home: openHome({ AEGIS_HOME: folder }, owner), host: new FakeHost() });
}

/** An instance with a grant, and a socket that stands for the Guest API's inside it. */
export async function parentInside(fixture: DaemonFixture): Promise<{ id: string; socket: string }> {
  const id = await bootParent(fixture);
  const dial = async (): Promise<Duplex> => {
    const stream = await fixture.driver.machine(id)?.harness.openStream({ kind: "guest_api" });
    if (stream === undefined) throw new Error("the parent's machine is gone");
    return stream;
  };
  const socket = join(fixture.home.root, "inside.sock");
  const inside = await carry(socket, dial);
  onTestFinished(() => void inside.close());
  return { id, socket };
}

async function bootParent(fixture: DaemonFixture): Promise<string> {
  const capabilities = {
    spawn: true,
    spawn_depth: 2,
    max_children: 20,
    allowed_images: ["*"],
    max_memory_mb: 1024,
    max_vcpus: 2,
    max_expose_ports: 2,
    allowed_workspaces: ["w*"],
  };
  const body = { handle: "parent", command: ["sleep", "100000"], pause_after_idle_s: null, capabilities };
  const created = await fixture.call<{ id: string }>("POST", "/v1/instances", body);
  await fixture.reaches(created.body.id, "running");
  return created.body.id;
}
