import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { bundleDaemon, CrashingDaemon } from "../durability/crashing-daemon.ts";
import { loseMachines, processesOf } from "../durability/lost-machines.ts";

/** Counts on, and tells the number that it has reached to whoever asks, never less than its lines do. */
const COUNTER = `
httpd -p 8080 -h /dev/shm
i=0
while :; do i=$((i+1)); echo $i > /dev/shm/next; mv /dev/shm/next /dev/shm/index.html; echo count $i; sleep 0.02; done
`;

describe("an instance whose memory is on disk", () => {
  let aegis: Aegis;
  let bundle: { file: string; remove: () => void };
  let living: CrashingDaemon | null = null;
  let id: string;
  let url: string;

  beforeAll(async () => {
    bundle = bundleDaemon();
    aegis = await startAegis({ env: { AEGIS_DRIVER: "microvm" } });
    const made = await aegis.boot({ command: ["sh", "-c", COUNTER], exposes: [8080], pause_after_idle_s: null });
    id = made.id;
    url = String(made.endpoints[0]?.url);
    await aegis.untilLogged(id, "count 20");
  });
  afterAll(async () => {
    await living?.kill9();
    bundle?.remove();
    await aegis?.stop();
  });

  const counted = async (): Promise<number[]> => {
    const lines = (await aegis.logs(id)).filter(({ source }) => source === "boot");
    return lines.map(({ line }) => Number(line.replace("count ", "")));
  };

  /** A connection wakes it, and it answers with the number that it has reached by then. */
  const wake = async (): Promise<number> => Number(await (await fetch(url)).text());

  it("goes on where it was when a connection wakes it, and its log has each line once, in order", async () => {
    await aegis.client.instances.hibernate(id);
    const before = await counted();
    expect(await wake()).toBeGreaterThan(before.length - 1);
    await aegis.untilLogged(id, `count ${before.length + 20}`);
    await aegis.client.instances.hibernate(id);
    const after = await counted();
    expect(after).toEqual(Array.from(after, (_, at) => at + 1));
  });

  it("survives a reboot of the host, which it goes on after as if nothing had been", async () => {
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "hibernated" });
    const before = await counted();
    await aegis.kill9();
    await loseMachines(aegis.home, randomUUID());
    living = new CrashingDaemon({
      home: aegis.home,
      env: aegis.env,
      bundle: bundle.file,
      log: `${aegis.home}/data/aegisd.log`,
    });
    await living.ready();
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "hibernated", failure: null });
    expect(processesOf(aegis.home, id)).toEqual([]);
    expect(await wake()).toBeGreaterThan(before.length - 1);
    await aegis.untilLogged(id, `count ${before.length + 20}`);
    const after = await counted();
    expect(after).toEqual(Array.from(after, (_, at) => at + 1));
  });
});
