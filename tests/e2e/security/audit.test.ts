import { appendFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AuditEntry } from "../../../packages/protocol/src/audit.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";
import { guestCall } from "../guest-call.ts";

const FOREVER = ["sleep", "infinity"];

describe("the audit log", () => {
  let aegis: Aegis;
  let bot: string;
  let stranger: string;
  beforeAll(async () => {
    aegis = await startAegis();
    await aegis.client.secrets.put("TEAM_KEY", "value");
    const grant = {
      spawn: true,
      spawn_depth: 1,
      max_children: 2,
      allowed_images: ["*"],
      max_memory_mb: 64,
      max_vcpus: 1,
      allowed_secrets: ["TEAM_*"],
    };
    const spec = { command: FOREVER, pause_after_idle_s: null };
    bot = (await aegis.boot({ ...spec, handle: "bot", capabilities: grant })).id;
    stranger = (await aegis.boot({ ...spec, handle: "stranger" })).id;
  });
  afterAll(() => aegis.stop());

  const entries = (query = {}): Promise<AuditEntry[]> => Array.fromAsync(aegis.client.audit.entries(query));
  const byBot = async () =>
    (await entries({ instance: "bot" })).filter(({ actor }) => actor.kind === "instance" && actor.instance_id === bot);

  it("tells what an instance did to its children, and what it was refused", async () => {
    const child = { command: FOREVER, image_ref: IMAGES.busybox, memory_mb: 64, vcpus: 0.5 };
    const spawn = (body: object) =>
      guestCall<{ id: string }>(aegis, bot, "POST", "/v1/instances", { ...child, ...body });
    const { body: made } = await spawn({ handle: "kid", secrets: ["TEAM_KEY"] });
    await aegis.reaches(made.id, "running");
    await spawn({ handle: "fat", memory_mb: 4096 });
    await guestCall(aegis, bot, "POST", "/v1/instances/kid/exec", { command: ["echo", "a-secret-argument"] });
    await guestCall(aegis, bot, "GET", "/v1/instances/kid");
    await guestCall(aegis, bot, "GET", `/v1/instances/${stranger}`);
    await guestCall(aegis, bot, "POST", "/v1/instances/stranger/stop");
    await guestCall(aegis, bot, "POST", "/v1/instances/kid/stop");
    await guestCall(aegis, bot, "DELETE", "/v1/instances/kid");
    const seen = await byBot();
    expect(seen.map(({ action, target, decision }) => [action, target, decision])).toEqual([
      ["instance.create", made.id, "allowed"],
      ["instance.create", "fat", "refused"],
      ["instance.exec", made.id, "allowed"],
      ["instance.read", stranger, "refused"],
      ["instance.stop", stranger, "refused"],
      ["instance.stop", made.id, "allowed"],
      ["instance.delete", made.id, "allowed"],
    ]);
    expect(seen[0]?.actor).toEqual({ kind: "instance", instance_id: bot, handle: "bot", boot: 1 });
    expect(seen[1]?.reason).toContain("max_memory_mb");
    expect(seen[2]?.detail).toBe("echo and 1 argument");
    const use = (await entries({ action: "secret.use" })).at(-1);
    expect(use).toMatchObject({ target: "TEAM_KEY", actor: { instance_id: made.id, boot: 1 } });
    expect(JSON.stringify(await entries())).not.toContain("a-secret-argument");
  });

  it("is out of reach for an instance", async () => {
    for (const path of ["/v1/audit", "/v1/audit/verify"])
      expect((await guestCall(aegis, bot, "GET", path)).status).toBe(404);
  });

  it("tells of an exec with a terminal too", async () => {
    const session = await aegis.client.instances.execInteractive(bot, { command: ["true", "x"], tty: true });
    await Array.fromAsync(session.output());
    expect((await entries({ action: "instance.exec" })).at(-1)).toMatchObject({
      actor: { kind: "host" },
      target: bot,
      detail: "true and 1 argument",
    });
  });

  it("is not flooded by one instance, and counts what it leaves out", async () => {
    const before = (await entries()).length;
    const script = "i=0; while [ $i -lt 300 ]; do guest-api GET /v1/instances/stranger >/dev/null; i=$((i+1)); done";
    await aegis.sh(bot, script);
    await aegis.restart();
    const added = (await entries()).slice(before).filter(({ action }) => action === "instance.read");
    expect(added.length).toBeLessThan(150);
    expect(added.reduce((sum, { more }) => sum + (more ?? 1), 0)).toBe(300);
  });

  it("outlives a crash in mid write, and notices a hand that was in it", async () => {
    await aegis.kill9();
    const folder = join(aegis.home, "data/audit");
    const file = join(folder, readdirSync(folder).toSorted().at(-1) ?? "");
    appendFileSync(file, '{"seq":99999,"ts":"2026-');
    await aegis.start();
    expect((await aegis.client.audit.verify()).broken).toBeNull();
    expect(aegis.log()).toContain("was cut short by a crash");
    appendFileSync(file, "a line\n");
    expect((await aegis.client.audit.verify()).broken).toContain("no entry");
  });
});
