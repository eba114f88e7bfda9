import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Capabilities } from "../../../packages/protocol/src/capability.ts";
import { hasWorkspaces, startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";
import { guestCall } from "../guest-call.ts";

const FOREVER = ["sleep", "infinity"];
const GRANT: Capabilities = {
  spawn: true,
  spawn_depth: 1,
  max_children: 2,
  allowed_images: [IMAGES.busybox],
  max_memory_mb: 64,
  max_vcpus: 0.5,
  max_expose_ports: 1,
  allowed_network: ["*"],
  allowed_secrets: ["TEAM_*"],
  allowed_workspaces: ["shared-*"],
};
const CHILD = { command: FOREVER, image_ref: IMAGES.busybox, memory_mb: 64, vcpus: 0.5 };

describe("capabilities", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
    for (const name of ["TEAM_KEY", "PRIVATE_KEY"]) await aegis.client.secrets.put(name, `value of ${name}`);
  });
  afterAll(() => aegis.stop());
  afterEach(async () => {
    for (const { id, parent_id } of await aegis.client.instances.list())
      if (parent_id === null) await aegis.client.instances.delete(id);
  });

  const boot = async (capabilities?: Capabilities): Promise<string> =>
    (await aegis.boot({ command: FOREVER, ...(capabilities === undefined ? {} : { capabilities }) })).id;
  const spawn = (id: string, body: object = {}) =>
    guestCall<{ id: string; error: string; code: string }>(aegis, id, "POST", "/v1/instances", { ...CHILD, ...body });

  /** The refusal must name the limit, and leave nothing behind. */
  async function expectRefused(id: string, body: object, limit: string): Promise<void> {
    const before = (await aegis.client.instances.list()).length;
    const answer = await spawn(id, body);
    expect([answer.status, answer.body.code]).toEqual([422, "capability_refused"]);
    expect(answer.body.error).toContain(limit);
    expect((await aegis.client.instances.list()).length).toBe(before);
  }

  it("are none unless given: a spawn is refused with the reason, and an event tells of it", async () => {
    const id = await boot();
    await expectRefused(id, {}, "capability spawn");
    await expectRefused(await boot({ ...GRANT, spawn: false }), {}, "capability spawn");
    for await (const event of aegis.client.events())
      if (event.type === "capability.refused" && event.instance_id === id) {
        expect(event).toMatchObject({ what: "spawn", reason: expect.stringContaining("capability spawn") });
        break;
      }
  });

  it("allow exactly what they say", async () => {
    const id = await boot(GRANT);
    const { status, body } = await spawn(id, { exposes: [80], secrets: ["TEAM_KEY"] });
    expect(status).toBe(201);
    await aegis.reaches(body.id, "running");
    expect(await aegis.sh(body.id, "echo $TEAM_KEY")).toBe("value of TEAM_KEY");
    expect(await aegis.client.instances.get(body.id)).toMatchObject({ memory_mb: 64, vcpus: 0.5, parent_id: id });
  });

  it.each([
    ["an image that is not allowed", { image_ref: "test/glibc:1" }, "allowed_images"],
    ["the same image by another name", { image_ref: "docker.io/test/busybox:2" }, "allowed_images"],
    ["too much memory", { memory_mb: 65 }, "max_memory_mb"],
    ["too many vcpus", { vcpus: 0.6 }, "max_vcpus"],
    ["too many ports", { exposes: [80, 81] }, "max_expose_ports"],
    ["a secret that is not allowed", { secrets: ["PRIVATE_KEY"] }, "allowed_secrets"],
    ["such a secret under another name", { secrets: ["TEAM_X=PRIVATE_KEY"] }, "allowed_secrets"],
    ["all secrets", { secrets: ["*"] }, "allowed_secrets"],
    ["a workspace that is not allowed", { workspace: "private" }, "allowed_workspaces"],
    ["a host path", { workspace: "/tmp" }, "allowed_workspaces"],
    ["a binding that the parent has not", { bindings: ["llm"] }, "llm"],
    ["a deeper level", { capabilities: { spawn: true, spawn_depth: 1 } }, "spawn_depth"],
  ])("refuse %s", async (_what, body, limit) => {
    await expectRefused(await boot(GRANT), body, limit);
  });

  it("refuse a host path also where every workspace is allowed", async () => {
    await expectRefused(await boot({ ...GRANT, allowed_workspaces: ["*"] }), { workspace: "/tmp" }, "host path");
  });

  it("give a child what it does not ask for within the limits", async () => {
    const id = await boot({ ...GRANT, max_vcpus: 1 });
    const { body } = await guestCall<{ id: string }>(aegis, id, "POST", "/v1/instances", {
      command: FOREVER,
      image_ref: IMAGES.busybox,
    });
    expect(await aegis.client.instances.get(body.id)).toMatchObject({ memory_mb: 64, vcpus: 1 });
  });

  it("count children, also in a burst, and a deleted one no more", async () => {
    const id = await boot(GRANT);
    const answers = await Promise.all(Array.from({ length: 6 }, () => spawn(id)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 201, 422, 422, 422, 422]);
    expect(answers.find(({ status }) => status === 422)?.body.error).toContain("max_children");
    const child = answers.find(({ status }) => status === 201);
    await guestCall(aegis, id, "DELETE", `/v1/instances/${child?.body.id}`);
    expect((await spawn(id)).status).toBe(201);
  });

  it("count ports, also in a burst", async () => {
    const id = await boot({ max_expose_ports: 2 });
    const call = `wget -q -O /dev/null --header 'Content-Type: application/json' --post-data "{\\"port\\":$port}"`;
    const script = `for port in $(seq 8000 8011); do ${call} $AEGIS_GUEST_API/v1/self/expose & done; wait`;
    expect(await aegis.exec(id, ["sh", "-c", script])).toMatchObject({ stderr: expect.stringContaining("422") });
    expect((await aegis.client.instances.get(id)).endpoints.length).toBe(2);
  });

  it("are handed down, and never grow", async () => {
    const id = await boot({ ...GRANT, spawn_depth: 2 });
    for (const [more, limit] of [
      [{ max_children: 3 }, "max_children"],
      [{ max_memory_mb: 65 }, "max_memory_mb"],
      [{ max_vcpus: 1 }, "max_vcpus"],
      [{ max_expose_ports: 2 }, "max_expose_ports"],
      [{ allowed_images: ["*"] }, "allowed_images"],
      [{ allowed_secrets: ["*"] }, "allowed_secrets"],
      [{ allowed_workspaces: ["*"] }, "allowed_workspaces"],
      [{ spawn_depth: 2 }, "spawn_depth"],
    ] as const)
      await expectRefused(id, { capabilities: { ...GRANT, spawn_depth: 1, ...more } }, limit);
    const child = (await spawn(id, { capabilities: { ...GRANT, spawn_depth: 1 } })).body;
    const grandchild = (await spawn(child.id)).body;
    await aegis.reaches(grandchild.id, "running");
    await expectRefused(grandchild.id, {}, "capability spawn");
  });

  it.runIf(hasWorkspaces)(
    "give a child a folder of its parent's workspace, and nothing that a link there leads to",
    async () => {
      const { id } = await aegis.boot({
        command: FOREVER,
        workspace: "project",
        capabilities: { ...GRANT, allowed_workspaces: ["./*"] },
      });
      const child = (await spawn(id, { workspace: "./site/public" })).body.id;
      await aegis.reaches(child, "running");
      expect(await aegis.sh(child, "pwd; echo made > /workspace/index.html; ls -a /workspace/..")).not.toMatch(/site/);
      expect(await aegis.sh(id, "cat /workspace/site/public/index.html; stat -c %u /workspace/site")).toBe("made\n0");
      expect(await aegis.client.instances.get(child)).toMatchObject({ workspace: "./site/public" });
      await aegis.sh(id, "ln -s / /workspace/out; ln -s /etc /workspace/site/etc");
      for (const workspace of ["./out", "./out/root", "./site/etc"]) {
        const linked = (await spawn(id, { workspace })).body.id;
        expect((await aegis.reaches(linked, "failed")).failure).toMatch(/links are not followed/);
        await aegis.client.instances.delete(linked);
      }
      await expectRefused(id, { workspace: "project" }, "allowed_workspaces");
      expect((await spawn(id, { workspace: "./../other" })).status).toBe(400);
      const alone = await boot({ ...GRANT, allowed_workspaces: ["*"] });
      expect(await spawn(alone, { workspace: "./site" })).toMatchObject({
        status: 400,
        body: { code: "invalid_path" },
      });
    },
  );

  it("are replaced and revoked at once, for everything below", async () => {
    const id = await boot({ ...GRANT, spawn_depth: 2, max_children: 4 });
    const child = (await spawn(id, { secrets: ["TEAM_KEY"], capabilities: { ...GRANT, spawn_depth: 1 } })).body.id;
    const grandchild = (await spawn(child, { exposes: [80] })).body.id;
    for (const one of [child, grandchild]) await aegis.reaches(one, "running");
    const { allowed_secrets: _, ...less } = GRANT;
    const view = await aegis.client.instances.grant(id, { ...less, spawn_depth: 2, max_children: 4 });
    expect(view).toMatchObject({
      capabilities: { ...less, spawn_depth: 2, max_children: 4 },
      tree: { used: { instances: 2 } },
    });
    // it holds a secret that it may not have any more, and what it made ends with it
    expect((await aegis.client.instances.get(child)).state).toBe("stopped");
    await aegis.reaches(grandchild, "stopped");
    const again = await guestCall<{ error: string }>(aegis, id, "POST", `/v1/instances/${child}/start`);
    expect([again.status, again.body.error]).toEqual([422, expect.stringContaining("allowed_secrets")]);
    expect((await spawn(id)).status).toBe(201);
    await aegis.client.instances.revoke(id);
    await expectRefused(id, {}, "capability spawn");
    expect((await guestCall(aegis, id, "GET", "/v1/self")).body).toMatchObject({
      capabilities: { children_left: 0, tree_left: { instances: 0 } },
    });
    const states = (await aegis.client.instances.list({ parentId: id })).map(({ state }) => state);
    expect(states).toEqual(["stopped", "stopped"]);
  });

  it("are the host's: what a process says of itself changes nothing", async () => {
    const id = await boot(GRANT);
    const script = `wget -q -O - --header 'X-Aegis-Instance: ${id}' --header 'Authorization: Bearer x' $AEGIS_GUEST_API/v1/self`;
    const other = await boot();
    expect(JSON.parse(await aegis.sh(other, script))).toMatchObject({ id: other });
  });
});
