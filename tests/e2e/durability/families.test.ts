import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Capabilities } from "../../../packages/protocol/src/capability.ts";
import type { CreateInstance } from "../../../packages/protocol/src/instance.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { isMicrovm } from "../driver-host.ts";
import { IMAGES } from "../fixture-images.ts";
import { guestCall } from "../guest-call.ts";
import { hasEnded } from "../home-on-host.ts";
import { machinePid } from "../host-pid.ts";

const FOREVER = ["sleep", "infinity"];
/** longer than a boot takes; one that is slower is ended while it boots */
const LIFETIME_S = isMicrovm ? 60 : 3;
const UNTIL_TOLD = ["sh", "-c", "while [ ! -e /tmp/end ]; do sleep 0.1; done"];
const GRANT: Capabilities = {
  spawn: true,
  spawn_depth: 2,
  max_children: 2,
  allowed_images: [IMAGES.busybox],
  max_memory_mb: 64,
  max_vcpus: 0.5,
};

describe("what an instance has made", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());
  afterEach(async () => {
    for (const { id, parent_id } of await aegis.client.instances.list())
      if (parent_id === null) await aegis.client.instances.delete(id);
  });

  const make = async (id: string, capabilities: Capabilities): Promise<string> => {
    const size = { memory_mb: 64, vcpus: 0.5 };
    const body = { command: FOREVER, image_ref: IMAGES.busybox, ...size, capabilities, pause_after_idle_s: null };
    return (await guestCall<{ id: string }>(aegis, id, "POST", "/v1/instances", body)).body.id;
  };
  const spawn = async (id: string, capabilities: Capabilities): Promise<string> => {
    const made = await make(id, capabilities);
    await aegis.reaches(made, "running");
    return made;
  };

  async function family(spec: Partial<CreateInstance> = {}): Promise<{ parent: string; below: string[] }> {
    const parent = (await aegis.boot({ command: FOREVER, capabilities: GRANT, ...spec })).id;
    const child = await spawn(parent, { ...GRANT, spawn_depth: 1 });
    return { parent, below: [child, await spawn(child, {})] };
  }

  const machineOf = (id: string): number => machinePid(aegis.home, id);

  it("ends when its machine is killed", async () => {
    const { parent, below } = await family();
    process.kill(machineOf(parent), "SIGKILL");
    expect((await aegis.reaches(parent, "failed")).failure).toBe("the machine ended unexpectedly");
    for (const id of below) await aegis.reaches(id, "stopped");
  });

  it("ends when its workload does, and goes on where it is kept", async () => {
    const { parent, below } = await family({ command: UNTIL_TOLD });
    const kept = await family({ command: UNTIL_TOLD, orphans: "keep" });
    for (const id of [parent, kept.parent]) {
      // the end may take the command away before it has said that it is done
      await aegis.exec(id, ["touch", "/tmp/end"]).catch(() => undefined);
      await aegis.reaches(id, "stopped");
    }
    for (const id of below) await aegis.reaches(id, "stopped");
    for (const id of kept.below) expect((await aegis.client.instances.get(id)).state).toBe("running");
  });

  it("ends when its machine went while there was no daemon", async () => {
    const { parent, below } = await family();
    const init = machineOf(parent);
    await aegis.kill9();
    process.kill(init, "SIGKILL");
    await expect.poll(() => hasEnded(init)).toBe(true);
    await aegis.start();
    for (const id of [parent, ...below]) expect(await aegis.reaches(id, "stopped")).toMatchObject({ failure: null });
  });

  it("ends for good with its lifetime, and shows when", async () => {
    const { id: parent } = await aegis.boot({
      command: FOREVER,
      capabilities: { ...GRANT, max_lifetime_s: LIFETIME_S },
    });
    const child = await make(parent, {});
    const { expires_at, created_at, lifetime_s } = await aegis.client.instances.get(child);
    expect(lifetime_s).toBe(LIFETIME_S);
    expect(Date.parse(expires_at ?? "") - Date.parse(created_at)).toBe(LIFETIME_S * 1000);
    await aegis.reaches(child, "stopped");
    const { status, body } = await guestCall<{ error: string }>(aegis, parent, "POST", `/v1/instances/${child}/start`);
    expect([status, body.error]).toEqual([409, expect.stringContaining("lifetime")]);
    expect((await aegis.client.instances.get(parent)).state).toBe("running");
  });
});
