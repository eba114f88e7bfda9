import { randomInt } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InstanceState } from "@aegis/protocol/instance";
import type { Instance } from "../../src/core/instance.ts";
import { CommandRunner, ECHO_PORT, echo, everything, hookNames, pauseHook, requests, turn } from "./race-commands.ts";
import type { Command, Hook } from "./race-commands.ts";
import { RaceWorld } from "./race-world.ts";

const seed = Number(process.env["AEGIS_RACES_SEED"] ?? randomInt(2 ** 31));
const RUNS = { requests: 600, everything: 900 };
const SETTLE_MS = 20_000;

const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);

describe(`races (AEGIS_RACES_SEED=${seed})`, () => {
  beforeAll(() => {
    console.info(`AEGIS_RACES_SEED=${seed}`);
    process.on("unhandledRejection", onUnhandled);
  });
  afterAll(() => void process.off("unhandledRejection", onUnhandled));

  it("requests that overtake each other end where their order says", { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(requests as fc.Arbitrary<Command[]>, fc.constantFrom(...hookNames), async (commands, hook) => {
        const race = await startRace({ pause: null, stop: null }, hook);
        await race.runner.run(commands);
        await inTime(race.runner.settled());
        const allowed = modelOf(commands, hook);
        expect([...allowed]).toContain(await race.stateAtRest());
        await race.end();
      }),
      { seed, numRuns: RUNS.requests },
    );
  });

  it("whatever comes in between, instances and machines agree", { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(everything, async (commands) => {
        const race = await startRace({ pause: 0.004, stop: 0.008 }, "none");
        await inTime(race.runner.run(commands));
        race.clearFaults();
        await inTime(race.runner.settled());
        expect(await race.stateAtRest()).not.toBe("starting");
        await race.refusesOlderBoots();
        await race.end();
      }),
      { seed, numRuns: RUNS.everything },
    );
  });
});

type Modelled = InstanceState | "deleted";

/** Where requests may lead, taken one after the other in the order they were made. */
function modelOf(commands: readonly Command[], hook: Hook): Set<Modelled> {
  let [state, enabled]: [Set<Modelled>, boolean] = [new Set(["running"]), true];
  let somebodyOnTheWayIn = false;
  let pauseMayComeLater = false;
  let hibernationMayComeLater = false;
  let mayBeDown = false;
  const become = (next: (from: Modelled) => Modelled[]): void => {
    state = new Set([...state].flatMap((from) => (from === "deleted" ? ["deleted" as const] : next(from))));
  };
  for (const { type } of commands) {
    switch (type) {
      case "start":
        enabled = true;
        become(() => ["running"]);
        break;
      case "disable":
        enabled = false;
        become(() => ["stopped"]);
        break;
      case "stop":
        become(() => ["stopped"]);
        break;
      case "pause":
        if (hook === "busy") break;
        // the workload is asked while the others go on
        pauseMayComeLater ||= hook !== "none";
        become((from) => {
          if (from === "stopped") return ["stopped"];
          if (from === "hibernated") return ["hibernated"];
          return somebodyOnTheWayIn || pauseMayComeLater ? ["paused", "running"] : ["paused"];
        });
        break;
      case "hibernate":
        if (hook === "busy") {
          // who is paused already has nothing more to say
          become((from) => (from === "paused" ? ["hibernated"] : [from]));
          break;
        }
        pauseMayComeLater ||= hook !== "none";
        hibernationMayComeLater ||= hook !== "none";
        become((from) => {
          if (from === "stopped") return ["stopped"];
          return somebodyOnTheWayIn || pauseMayComeLater ? ["hibernated", "paused", "running"] : ["hibernated"];
        });
        break;
      case "reboot":
        enabled = true;
        mayBeDown = true;
        become(() => ["running"]);
        break;
      case "connect":
        somebodyOnTheWayIn = true;
        become((from) => (from === "stopped" && !enabled ? ["stopped"] : ["running"]));
        break;
      case "exec":
        somebodyOnTheWayIn = true;
        // what was stopped when it was asked is refused at once; what is about to stop may be told so later
        become((from) =>
          from !== "paused" && from !== "hibernated" ? [from] : mayBeDown ? [from, "running"] : ["running"],
        );
        break;
      case "resume":
        become((from) => (from === "stopped" ? ["stopped"] : ["running"]));
        break;
      case "delete":
        state = new Set(["deleted"]);
        break;
      default:
    }
  }
  if (pauseMayComeLater && state.has("running")) state.add("paused");
  if (hibernationMayComeLater && (state.has("running") || state.has("paused"))) state.add("hibernated");
  return state;
}

async function inTime(work: Promise<unknown>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`nothing has moved for ${SETTLE_MS} ms`)), SETTLE_MS);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

async function startRace(idle: { pause: number | null; stop: number | null }, hook: Hook): Promise<Race> {
  const pause_hook = pauseHook(hook);
  const race: Race = new Race(new RaceWorld({ onPause: () => race.onPause() }));
  race.world.driver.whileHibernating = () => turn(3);
  await race.world.instances.reconcile();
  const { instance } = await race.world.instances.create({
    command: ["echo-server", String(ECHO_PORT)],
    pause_after_idle_s: idle.pause,
    stop_after_paused_s: idle.stop,
    ...(pause_hook && { pause_hook }),
  });
  race.begin(instance.id);
  return race;
}

class Race {
  readonly world: RaceWorld;
  #id = "";
  #runner: CommandRunner | null = null;
  #pausedWhileHeld = 0;

  constructor(world: RaceWorld) {
    this.world = world;
  }

  begin(id: string): void {
    this.#id = id;
    this.#runner = new CommandRunner(this.world, id);
  }

  get runner(): CommandRunner {
    if (this.#runner === null) throw new Error("the race has not begun");
    return this.#runner;
  }

  onPause(): void {
    if (this.#runner?.mustStayAwake === true) this.#pausedWhileHeld += 1;
  }

  clearFaults(): void {
    for (const name of ["create", "pause", "resume", "kill", "dial", "remove", "hibernate", "restore"] as const)
      this.world.driver.faults[name] = null;
  }

  /** The state once nothing moves any more and everything agrees with it. */
  async stateAtRest(): Promise<Modelled> {
    let problems = await this.#problems();
    for (let looks = 0; problems.length > 0 && looks < 200; looks++) {
      await turn(5);
      if (looks > 20) await new Promise((resolve) => setTimeout(resolve, 5));
      problems = await this.#problems();
    }
    expect(problems).toEqual([]);
    expect(this.#pausedWhileHeld).toBe(0);
    expect(unhandled).toEqual([]);
    return this.#instance?.state ?? "deleted";
  }

  get #instance(): Instance | undefined {
    return this.world.instances.peek(this.#id);
  }

  async #problems(): Promise<string[]> {
    const { world } = this;
    const instance = this.#instance;
    const machine = world.driver.machine(this.#id);
    const found: string[] = [];
    const must = (holds: boolean, what: string): void => void (holds || found.push(what));
    if (world.host.machines.size > (machine === null ? 0 : 1)) found.push("machines of nobody");
    if (instance === undefined) {
      must(machine === null, "a deleted instance has a machine");
      must(world.host.snapshots.size === 0, "a deleted instance has memory on disk");
      must(world.host.disks.size === 0, "a deleted instance has a disk");
      must(world.logged.size === 0, "a deleted instance has logs");
      must(world.openPorts.size === 0, "a deleted instance has ports");
      must(world.store.loadInstances().length === 0, "a deleted instance is stored");
      must(world.store.remains().length === 0, "a deleted instance has remains");
      return found;
    }
    const { state } = instance;
    const stored = world.store.loadInstances().find(({ record }) => record.id === instance.id);
    must(stored?.observation.state === state, `stored as ${stored?.observation.state}, but ${state}`);
    must(stored?.leases.length === instance.leases.list().length, "leases differ from the stored ones");
    must(world.openPorts.size === instance.endpoints.list().length, "ports differ from the open ones");
    must(state !== "starting", "still starting");
    const up = state === "running" || state === "paused";
    // A machine that an injected fault has kept is removed with the next start or the deletion.
    if (up) must(machine?.alive === true && machine.boot === instance.boot, `${state} without its machine`);
    if (up) must((await machine?.isPaused()) === (state === "paused"), `${state}, but the machine is not`);
    if (state === "hibernated") must(machine?.alive !== true, "hibernated, but the machine lives");
    if (up || state === "stopped") must(world.host.snapshots.size === 0, `${state}, and its memory is on disk`);
    if (state === "stopped") must(machine?.alive !== true, "stopped, but the machine lives");
    return found;
  }

  /** A call from inside with the token of an older boot gets nowhere. */
  async refusesOlderBoots(): Promise<void> {
    const instance = this.#instance;
    if (instance === undefined || instance.boot < 2) return;
    await instance.start("test");
    const harness = this.world.driver.machine(this.#id)?.harness;
    const old = `${this.#id}/${instance.boot - 1}`;
    void harness?.openStream({ kind: "guest_api" }, old);
    await turn(10);
    expect(this.world.reverseStreams).not.toContain(`${this.#id} ${old}`);
  }

  /** It still works, can be deleted, and what is deleted stays so. */
  async end(): Promise<void> {
    const instance = this.#instance;
    if (instance !== undefined) {
      await instance.start("test");
      await inTime(echo(instance, "still here").then((answer) => expect(answer).toBe("still here")));
      const waking = echo(instance, "too late").catch(() => undefined);
      await inTime(this.world.instances.delete(instance));
      await inTime(waking);
      for (const act of [
        () => instance.connections.open(ECHO_PORT, "tcp"),
        () => instance.start("test"),
        () => instance.resume(),
      ])
        await expect(act()).rejects.toMatchObject({ status: 410 });
    }
    await turn(5);
    expect(() => this.world.instances.find(this.#id)).toThrow(expect.objectContaining({ status: 410 }));
    expect(await this.stateAtRest()).toBe("deleted");
    await this.world.close();
  }
}
