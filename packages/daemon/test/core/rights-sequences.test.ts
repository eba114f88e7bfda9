import { randomInt } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import { checkSpec } from "../../src/core/capabilities.ts";
import { ceilings, listNames } from "../../src/core/effective-grant.ts";
import type { Instance } from "../../src/core/instance.ts";
import type { InstanceSpec } from "../../src/core/instance-record.ts";
import { treeBudget } from "../../src/core/tree-budget.ts";
import { COMMAND, GRANT } from "./family-world.ts";
import { grants, specs, world as names } from "./grant-arbitraries.ts";
import { turn } from "./race-commands.ts";
import { RaceWorld } from "./race-world.ts";

const seed = Number(process.env["AEGIS_RIGHTS_SEED"] ?? randomInt(2 ** 31));
const RUNS = 500;

/** What the instance without a parent is granted at first; it never gets more. */
const MOST: Capabilities = {
  ...GRANT,
  spawn_depth: 2,
  max_children: 4,
  max_memory_mb: 200,
  max_vcpus: 4,
  allowed_images: ["node:*", "docker.io/library/node", "ghcr.io/team/*"],
  allowed_secrets: ["TEAM_*"],
  allowed_workspaces: ["work-*", "./*"],
  allowed_bindings: ["llm"],
  allowed_network: ["*.example.org", "api.example.com:443"],
  tree: { instances: 6, memory_mb: 600, vcpus: 8, disk_mb: 60_000 },
};

/** `who` is the so-many-eth instance there is. */
type Call =
  | { type: "spawn"; who: number; spec: InstanceSpec; capabilities: Capabilities; ports: number }
  | { type: "replace"; who: number; spec: InstanceSpec; capabilities: Capabilities }
  | { type: "grant"; who: number; capabilities: Capabilities; field: number; most: boolean }
  | { type: "secrets"; who: number; secrets: string[] }
  | { type: "expose"; who: number; port: number }
  | { type: "start" | "stop" | "restart" | "disable" | "delete" | "exit"; who: number }
  | { type: "crash" };

const who = fc.nat(7);
const anything = specs.map((spec) => ({ ...spec, lifetime_s: null }));
/** What is mostly allowed: else there would be nobody to take rights from. */
const modest = fc
  .tuple(
    anything,
    fc.record({
      image_ref: fc.constantFrom("node", "node:24", "ghcr.io/team/app"),
      memory_mb: fc.integer({ min: 16, max: 110 }),
      vcpus: fc.constantFrom(0.5, 1),
      secrets: fc.subarray(["TEAM_A", "X=TEAM_B"]),
      workspace: fc.constantFrom(null, "work-1", "./site"),
      network: fc.constantFrom<InstanceSpec["network"]>(
        { mode: "none" },
        { mode: "allowlist", allow: ["a.example.org:443"] },
      ),
    }),
  )
  .map(([spec, fields]): InstanceSpec => ({ ...spec, ...fields, bindings: [] }));
const wanted = fc.oneof({ arbitrary: anything, weight: 1 }, { arbitrary: modest, weight: 3 });
const calls: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant("spawn" as const),
      who,
      spec: wanted,
      capabilities: fc.oneof(
        { arbitrary: grants, weight: 1 },
        { arbitrary: fc.constant<Capabilities>({ ...MOST, spawn_depth: 1 }), weight: 3 },
        { arbitrary: fc.constant<Capabilities>({}), weight: 1 },
      ),
      ports: fc.nat(3),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("replace" as const), who, spec: wanted, capabilities: grants }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("grant" as const),
      who,
      capabilities: grants,
      field: fc.nat(11),
      most: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("secrets" as const),
      who,
      secrets: fc.subarray([...names.secrets, "*"], { maxLength: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("expose" as const), who, port: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constantFrom("start", "stop", "restart", "disable", "delete", "exit"), who }),
  },
  { weight: 1, arbitrary: fc.constant({ type: "crash" as const }) },
);

const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);

describe(`rights (AEGIS_RIGHTS_SEED=${seed})`, () => {
  beforeAll(() => void process.on("unhandledRejection", onUnhandled));
  afterAll(() => void process.off("unhandledRejection", onUnhandled));

  it("no sequence of calls gives one that the instance at the top has not", { timeout: 120_000 }, async () => {
    let spawned = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(calls, { minLength: 1, maxLength: 5 }), { minLength: 3, maxLength: 12 }),
        async (rounds) => {
          const family = await startFamily();
          // within a round nobody waits for anybody
          for (const round of rounds) {
            await family.run(round);
            await family.expectWithin();
          }
          spawned += family.spawned;
          await family.end();
        },
      ),
      { seed, numRuns: RUNS },
    );
    expect(spawned).toBeGreaterThan(RUNS);
    expect(unhandled).toEqual([]);
  });
});

async function startFamily(): Promise<RunningFamily> {
  const world = new RaceWorld({ onPause: () => undefined });
  world.secretNames = [...names.secrets];
  await world.instances.reconcile();
  const bindings = names.bindings.map((name, at) => ({ name, port: 8000 + at, upstream: "http://127.0.0.1:1" }));
  const top = { command: COMMAND, handle: "top", pause_after_idle_s: null, bindings, capabilities: MOST };
  await world.instances.create(top);
  return new RunningFamily(world);
}

class RunningFamily {
  readonly #world: RaceWorld;
  spawned = 0;

  constructor(world: RaceWorld) {
    this.#world = world;
  }

  async run(round: readonly Call[]): Promise<void> {
    const made = Promise.all(round.map((call) => this.#make(call).catch(onlyRefusals)));
    if (!round.some(({ type }) => type === "crash")) return void (await made);
    // who asked a daemon that was killed hears nothing any more
    await turn(2);
    await this.#world.crash();
    await turn(20);
  }

  async #make(call: Call): Promise<void> {
    const { instances } = this.#world;
    if (call.type === "crash") return;
    const all = instances.list();
    const instance = all[call.who % all.length];
    if (instance === undefined) return;
    // the host decides about the one at the top: it is not what this is about
    const isTop = instance.handle === "top";
    switch (call.type) {
      case "spawn":
        await instances.spawn(instance, {
          ...bodyOf(call.spec),
          capabilities: call.capabilities,
          exposes: portsOf(call.ports),
        });
        this.spawned += 1;
        return;
      case "replace":
        return isTop
          ? undefined
          : instances.replace(instance, { ...hostBodyOf(call.spec), capabilities: call.capabilities });
      case "grant":
        return instances.grant(instance, isTop ? shrunk(call) : call.capabilities);
      case "secrets":
        return isTop ? undefined : instances.setSecrets(instance, call.secrets);
      case "expose":
        await instances.exposeFromInside(instance, { port: call.port });
        return;
      case "start":
        return instance.start("test");
      case "stop":
        return instances.stop(instance);
      case "restart":
        return instances.restart(instance);
      case "disable":
        return instances.disable(instance);
      case "delete":
        return isTop ? undefined : instances.delete(instance);
      case "exit":
        return this.#world.driver.machine(instance.id)?.exit();
    }
  }

  /** Everything that is there and runs is within what the one at the top may hand out today. */
  async expectWithin(): Promise<void> {
    await turn(3);
    const { instances, host } = this.#world;
    const top = instances.find("top");
    const below = instances.list().filter((one) => one !== top);
    const { grant } = top.record;
    const problems: string[] = [];
    for (const one of below) {
      const say = (what: string): void => void problems.push(`${one.handle} (${one.state}): ${what}`);
      const line = lineOf(instances.list(), one);
      if (line.at(-1) !== top) say("does not descend from the top");
      if (line.length > (MOST.spawn_depth ?? 0)) say("is too deep");
      if (instances.list({ parentId: one.id }).length > (MOST.max_children ?? 0)) say("has too many children");
      if (one.endpoints.list().length > (grant.max_expose_ports ?? 0)) say("has too many ports");
      const machine = host.machines.get(one.id);
      if (!one.down && line.some(({ record }) => !record.enabled)) say("runs below a disabled one");
      if (one.down && machine?.alive !== true) continue;
      for (const above of line) {
        const why = refusalOf(above.record.grant, one.record.spec);
        if (why !== null) say(`is not covered by ${above.handle}: ${why}`);
      }
      if (machine !== undefined && machine.spec.memoryMb > (MOST.max_memory_mb ?? 0)) say("has too much memory");
    }
    const used = this.#world.store.usedBelow(top.id);
    const budget = treeBudget(MOST);
    for (const field of ["instances", "memory_mb", "vcpus", "disk_mb"] as const)
      if (used[field] > budget[field] + 1e-9) problems.push(`${used[field]} of ${budget[field]} ${field}`);
    expect(problems).toEqual([]);
  }

  async end(): Promise<void> {
    await this.#world.close();
  }
}

function onlyRefusals(error: unknown): void {
  if (!(error instanceof AegisError) || error.status >= 500) throw error;
}

const FIELDS = ["spawn", ...ceilings, ...listNames] as const;

/** All that it has at most, or that without one of the fields. */
function shrunk({ field, most }: { field: number; most: boolean }): Capabilities {
  const name = FIELDS[field % FIELDS.length];
  if (most || name === undefined) return MOST;
  const { [name]: _, ...less } = MOST;
  return less;
}

function lineOf(all: readonly Instance[], one: Instance): Instance[] {
  const parent = all.find(({ id }) => id === one.record.parentId);
  return parent === undefined ? [] : [parent, ...lineOf(all, parent)];
}

function refusalOf(grant: Capabilities, spec: InstanceSpec): string | null {
  try {
    checkSpec(grant, spec);
    return null;
  } catch (error) {
    return String(error);
  }
}

const portsOf = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);

const commonOf = ({ image_ref, memory_mb, vcpus, secrets, workspace, network }: InstanceSpec) => ({
  command: COMMAND,
  pause_after_idle_s: null,
  image_ref,
  memory_mb,
  vcpus,
  secrets,
  network,
  ...(workspace !== null && { workspace }),
});
const bodyOf = (spec: InstanceSpec) => ({ ...commonOf(spec), bindings: spec.bindings.map(({ name }) => name) });
const hostBodyOf = (spec: InstanceSpec) => ({ ...commonOf(spec), bindings: [] });
