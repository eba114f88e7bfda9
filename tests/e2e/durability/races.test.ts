import { randomInt } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AegisError } from "../../../packages/protocol/src/errors.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { isMicrovm } from "../driver-host.ts";
import { HostAudit } from "./host-audit.ts";
import { Random } from "./random.ts";

const seed = Number(process.env["AEGIS_RACES_SEED"] ?? randomInt(2 ** 31));
/** each boots several times */
const RACES = isMicrovm ? 8 : 40;
const LIMIT_MS = 280_000;
const STEPS = 8;
const ACTS = ["start", "stop", "pause", "resume", "connect", "exec", "lease"] as const;
type Act = (typeof ACTS)[number];
const isServed = (act: Act | undefined): boolean => act === "connect" || act === "exec";

describe(`races on real instances (AEGIS_RACES_SEED=${seed})`, () => {
  let aegis: Aegis;
  const random = new Random(seed);
  beforeAll(async () => {
    console.info(`AEGIS_RACES_SEED=${seed}`);
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());

  it(
    `${RACES} of them leave instances that agree with their machines, work, and stay deleted`,
    { timeout: LIMIT_MS },
    async () => {
      const { instances } = aegis.client;
      for (let race = 0; race < RACES; race++) {
        const { id, endpoints } = await instances.create({
          command: ["httpd", "-f", "-p", "8080", "-h", "/www"],
          exposes: [8080],
          pause_after_idle_s: random.pick([0.1, null]) ?? null,
          stop_after_paused_s: random.pick([0.1, null]) ?? null,
        });
        const url = String(endpoints[0]?.url);
        const acts = Array.from({ length: STEPS }, () => random.pick(ACTS));
        const asked = acts.map((act) => ({ act, done: attempt(id, url, act) }));
        await Promise.all(asked.filter(({ act }) => !isServed(act)).map(({ done }) => done));
        // one that is asked for does not wait for what is being served just then, which goes on with the next wake
        if (acts.includes("pause")) await attempt(id, url, "resume");
        await Promise.all(asked.map(({ done }) => done));
        await aegis.until(id, ({ state }) => state !== "starting");
        if (race % (RACES / 4) === 0) await agrees();
        await instances.start(id);
        expect(await (await fetch(url)).text(), acts.join(" ")).toBe("hello from inside\n");
        const late = Promise.all([attempt(id, url, "connect"), attempt(id, url, "start"), attempt(id, url, "exec")]);
        await instances.delete(id);
        await late;
        await expect(instances.get(id)).rejects.toMatchObject({ code: "instance_deleted" });
        await expect(fetch(url)).rejects.toThrow();
      }
      await agrees();
      expect(await instances.list()).toEqual([]);
      expect(aegis.log()).not.toMatch(/a defect:/);
    },
  );

  /** What is refused is refused for a reason that the client is told. */
  async function attempt(id: string, url: string, act: Act | undefined): Promise<void> {
    const { instances } = aegis.client;
    try {
      if (act === "connect") await (await fetch(url)).text();
      else if (act === "exec") await aegis.exec(id, ["true"]);
      else if (act === "lease") await instances.lease(id, { ttl_ms: 100, reason: "race" });
      else if (act !== undefined) await instances[act](id);
    } catch (error) {
      if (error instanceof TypeError) return; // the connection broke
      if (!(error instanceof AegisError)) throw error;
      expect(
        ["wrong_state", "instance_deleted", "guest_unreachable"],
        `${act}: ${error.message}\n${aegis.log()}`,
      ).toContain(error.code);
    }
  }

  async function agrees(): Promise<void> {
    const audit = new HostAudit(aegis.home);
    const look = async () => {
      const [status, list, images] = await Promise.all([
        aegis.client.status(),
        aegis.client.instances.list(),
        aegis.client.images.list(),
      ]);
      return audit.look({ status, instances: list, digests: images.map(({ digest }) => digest) });
    };
    await expect.poll(look).toEqual([]);
  }
});
