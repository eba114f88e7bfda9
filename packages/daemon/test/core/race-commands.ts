import { once } from "node:events";
import { FrameType } from "@aegis/protocol/exec-frame";
import type { PauseHook } from "@aegis/protocol/instance";
import fc from "fast-check";
import type { Instance } from "../../src/core/instance.ts";
import type { FakeFaults } from "../../src/drivers/fake/fake-machine.ts";
import type { RaceWorld } from "./race-world.ts";

/** The port on which every workload echoes. */
export const ECHO_PORT = 7;

/** What a workload with such a pause hook answers; `late` takes until something else has happened. */
const hooks = {
  none: null,
  agrees: { command: ["echo", '{"id":1}'], resume: { command: ["true"] } },
  late: { command: ["sleep", "0.003"], resume: { command: ["false"] } },
  busy: { command: ["false"] },
} as const;
export type Hook = keyof typeof hooks;
export const hookNames: readonly Hook[] = ["none", "agrees", "late", "busy"];
export const pauseHook = (name: Hook) => structuredClone<PauseHook | null>(hooks[name] as PauseHook | null);

export type Command =
  | { type: "start" | "stop" | "disable" | "pause" | "resume" | "connect" | "exec" | "delete" }
  | { type: "reboot" | "forcePause" | "hibernate" }
  | { type: "hook"; hook: Hook }
  | { type: "lease"; ttlMs: number }
  | { type: "workloadExit" | "machineExit" | "outOfMemory" }
  | { type: "crash" }
  | { type: "restart" }
  | { type: "release" | "expose" }
  | { type: "fault"; fault: keyof FakeFaults; on: boolean }
  /** lets the others go on for so many turns of the event loop */
  | { type: "turns"; turns: number };

const plain = fc.constantFrom(
  ...(["start", "stop", "disable", "pause", "resume", "connect", "exec", "reboot", "hibernate"] as const).map(
    (type) => ({ type }),
  ),
);
const turns = fc.record({ type: fc.constant("turns" as const), turns: fc.integer({ min: 1, max: 12 }) });

/** What a client may ask for; what comes of it follows from the order alone. */
export const requests = fc.array(
  fc.oneof(
    { arbitrary: plain, weight: 8 },
    { arbitrary: turns, weight: 4 },
    { arbitrary: fc.constant({ type: "delete" as const }), weight: 1 },
  ),
  { minLength: 2, maxLength: 14 },
);

const happenings = fc.constantFrom(
  ...(
    ["workloadExit", "machineExit", "outOfMemory", "crash", "restart", "release", "expose", "forcePause"] as const
  ).map((type) => ({ type })),
);
const otherHook = fc.record({ type: fc.constant("hook" as const), hook: fc.constantFrom(...hookNames) });
const faults = fc.record({
  type: fc.constant("fault" as const),
  fault: fc.constantFrom("create", "pause", "resume", "kill", "dial", "remove", "hibernate", "restore"),
  on: fc.boolean(),
});
const leases = fc.record({ type: fc.constant("lease" as const), ttlMs: fc.integer({ min: 1, max: 15 }) });

/** Everything that can befall an instance. */
export const everything = fc.array(
  fc.oneof(
    { arbitrary: plain, weight: 8 },
    { arbitrary: turns, weight: 6 },
    { arbitrary: happenings, weight: 3 },
    { arbitrary: faults, weight: 2 },
    { arbitrary: leases, weight: 2 },
    { arbitrary: otherHook, weight: 2 },
    { arbitrary: fc.constant({ type: "delete" as const }), weight: 1 },
  ),
  { minLength: 3, maxLength: 24 },
) as fc.Arbitrary<Command[]>;

/** Counts what certainly keeps an instance awake, from the outside. */
type Happening = Extract<Command, { type: "workloadExit" | "machineExit" | "outOfMemory" | "fault" }>;
type Request = Exclude<Command, Happening | { type: "turns" | "crash" | "restart" }>;

interface Held {
  count: number;
  pausesAsked: number;
}

/** Starts commands without waiting for the ones before. */
export class CommandRunner {
  readonly #world: RaceWorld;
  readonly #id: string;
  /** all that was started and will settle; what a killed daemon was asked never does */
  #started: Promise<unknown>[] = [];
  #leases: string[] = [];
  #held: Held = { count: 0, pausesAsked: 0 };

  constructor(world: RaceWorld, id: string) {
    this.#world = world;
    this.#id = id;
  }

  /** A pause now would be one of the daemon's own, while somebody is in there. */
  get mustStayAwake(): boolean {
    return this.#held.count > 0 && this.#held.pausesAsked === 0;
  }

  async run(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      if (command.type === "turns") await turn(command.turns);
      else if (command.type === "crash" || command.type === "restart") await this.#newDaemon(command.type);
      else this.#started.push(this.#start(command).catch(() => undefined));
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#started);
  }

  async #newDaemon(how: "crash" | "restart"): Promise<void> {
    this.#started = [];
    this.#leases = [];
    this.#held = { count: 0, pausesAsked: 0 };
    await this.#world[how]();
  }

  async #start(command: Happening | Request): Promise<void> {
    switch (command.type) {
      case "workloadExit":
      case "machineExit":
      case "outOfMemory":
      case "fault":
        return this.#happen(command);
      default:
        return this.#ask(command);
    }
  }

  #happen(command: Happening): void {
    const { driver } = this.#world;
    switch (command.type) {
      case "workloadExit":
        return driver.machine(this.#id)?.harness.signalWorkload("SIGKILL");
      case "machineExit":
        return driver.machine(this.#id)?.exit();
      case "outOfMemory":
        return driver.machine(this.#id)?.exit({ outOfMemory: true });
      case "fault":
        driver.faults[command.fault] = command.on ? new Error(`${command.fault} fails for the test`) : null;
    }
  }

  async #ask(command: Request): Promise<void> {
    const { instances } = this.#world;
    const instance = instances.find(this.#id);
    switch (command.type) {
      case "start":
        return instance.start("test");
      case "stop":
        return instances.stop(instance);
      case "disable":
        return instances.disable(instance);
      case "pause":
        return this.#asleep(() => instance.pause());
      case "forcePause":
        return this.#asleep(() => instance.pause(true));
      case "hibernate":
        return this.#asleep(() => instance.hibernate());
      case "reboot":
        return instances.restart(instance);
      case "hook":
        instance.update({ pause_hook: pauseHook(command.hook) });
        return;
      case "resume":
        return instance.resume();
      case "delete":
        return instances.delete(instance);
      case "connect":
        return this.#echo(instance);
      case "exec":
        return this.#exec(instance);
      case "expose":
        await instance.endpoints.expose({ port: ECHO_PORT });
        return;
      case "lease":
        this.#leases.push(instance.leases.acquire({ ttl_ms: command.ttlMs, reason: "test" }).lease_id);
        return;
      case "release":
        return instance.leases.release(this.#leases.pop() ?? "");
    }
  }

  async #asleep(pause: () => Promise<void>): Promise<void> {
    const held = this.#held;
    held.pausesAsked += 1;
    await pause().finally(() => (held.pausesAsked -= 1));
  }

  /** Holds the instance from before the call until it closes the stream. */
  async #echo(instance: Instance): Promise<void> {
    await this.#holding(async () => {
      const stream = (await instance.connections.open(ECHO_PORT, "tcp")).stream;
      stream.on("error", () => undefined);
      stream.write("x");
      await turn(2);
      stream.destroy();
    });
  }

  async #exec(instance: Instance): Promise<void> {
    await this.#holding(async () => {
      const { session, release } = await instance.connections.exec({ command: ["true"] });
      for await (const { type } of session.frames) if (type === FrameType.exit) break;
      session.close();
      release();
    });
  }

  async #holding(act: () => Promise<void>): Promise<void> {
    const held = this.#held;
    held.count += 1;
    try {
      await act();
    } finally {
      held.count -= 1;
    }
  }
}

export async function turn(count = 1): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}

/** What the echo port of a running instance answers. Rejects when the connection ends before. */
export async function echo(instance: Instance, word: string): Promise<string> {
  const stream = (await instance.connections.open(ECHO_PORT, "tcp")).stream;
  stream.write(word);
  try {
    const ended = once(stream, "close").then(() => Promise.reject(new Error("the connection has ended")));
    const [answer] = (await Promise.race([once(stream.resume(), "data"), ended])) as [Buffer];
    return answer.toString();
  } finally {
    stream.destroy();
  }
}
