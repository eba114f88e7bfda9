import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";

describe("processes", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());

  /** Whether the harness outlives the bomb depends on what it needs a thread for just then. */
  it("a fork bomb ends nothing but its own instance, which says why where it ended", async () => {
    const neighbour = await aegis.boot({ command: ["sleep", "infinity"] });
    const bomb = "f() { f | f & }; f; while :; do sleep 1; done";
    const { id } = await aegis.boot({ command: ["sh", "-c", bomb], memory_mb: 1024 });
    const ended = aegis.reaches(id, "failed").then(({ failure }) => failure);
    const refused = aegis.untilLogged(id, "can't fork").then(() => "refused");
    expect(await Promise.any([ended, refused])).toMatch(/out of (processes|memory)|refused/);
    expect(await aegis.sh(neighbour.id, "echo answers")).toBe("answers");
    await aegis.client.instances.delete(id);
    await Promise.allSettled([ended, refused]);
  });

  it("an instance that loses its harness behind refused processes says that it had no room for them", async () => {
    const { id } = await aegis.boot({ command: ["sh", "-c", "(while :; do sleep 1000 & done); kill -9 -1"] });
    expect((await aegis.reaches(id, "failed")).failure).toMatch(/out of processes/);
  });
});
