import { DatabaseSync } from "node:sqlite";
import type { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import type { Driver, Machine, MachineSpec } from "../../src/core/driver.ts";
import { BindingBook } from "../../src/core/binding-book.ts";
import { EventLog } from "../../src/core/event-log.ts";
import type { Instance } from "../../src/core/instance.ts";
import { Instances } from "../../src/core/instances.ts";
import type { Logs } from "../../src/core/logs.ts";
import { StreamHarness } from "../../src/control/stream-harness.ts";
import { FakeDriver, FakeHost } from "../../src/drivers/fake/fake-driver.ts";
import { schema } from "../../src/store/schema.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/core/store.ts";
import { UsageLedger } from "../../src/core/usage-ledger.ts";
import { fakeImages } from "../fake-images.ts";

const image = {
  refs: ["test"],
  digest: "sha256:0",
  size_bytes: 1,
  created_at: "2026-01-01T00:00:00.000Z",
  rootfs: "/none",
  derived: "/none",
  config: { env: [], entrypoint: [], cmd: [], user: "", workingDir: "" },
  sourceDigests: [],
};

/** One daemon process. After its death nothing of it has an effect any more, and nobody tells it anything. */
class Generation {
  readonly #streams = new Set<Duplex>();
  readonly #death = new AbortController();
  #dead = false;

  get death(): AbortSignal {
    return this.#death.signal;
  }

  async pass<T>(act: () => Promise<T>): Promise<T> {
    const never = new Promise<T>(() => undefined);
    if (this.#dead) return never;
    try {
      const result = await act();
      return this.#dead ? await never : result;
    } catch (error) {
      if (this.#dead) return never;
      throw error;
    }
  }

  get dead(): boolean {
    return this.#dead;
  }

  keep(stream: Duplex): Duplex {
    this.#streams.add(stream);
    stream.once("close", () => this.#streams.delete(stream));
    return stream;
  }

  /** As the kernel does it at the end of a process. */
  die(): void {
    this.#dead = true;
    this.#death.abort();
    for (const stream of this.#streams) stream.destroy();
  }
}

/** What a test wants to know of a machine besides what the daemon does with it. */
export interface MachineHooks {
  onPause(instanceId: string): void;
}

function mortal(machine: Machine, life: Generation, hooks: MachineHooks): Machine {
  return {
    instanceId: machine.instanceId,
    boot: machine.boot,
    exited: life.pass(() => machine.exited),
    dial: (signal) => life.pass(async () => life.keep(await machine.dial(signal))),
    dialPort: (port, signal) =>
      life.pass(async () => {
        const stream = await machine.dialPort(port, signal);
        return stream === null ? null : life.keep(stream);
      }),
    pause: () =>
      life.pass(() => {
        hooks.onPause(machine.instanceId);
        return machine.pause();
      }),
    resume: () => life.pass(() => machine.resume()),
    isPaused: () => life.pass(() => machine.isPaused()),
    kill: () => life.pass(() => machine.kill()),
    ranOutOfMemory: () => life.pass(() => machine.ranOutOfMemory()),
    remove: () => life.pass(() => machine.remove()),
    stats: () => life.pass(() => machine.stats()),
    ...(machine.hibernate !== undefined && {
      hibernate: (key: Uint8Array, signal: AbortSignal) =>
        life.pass(async () => machine.hibernate?.(key, AbortSignal.any([signal, life.death]))),
    }),
  };
}

function mortalDriver(driver: FakeDriver, life: Generation, hooks: MachineHooks): Driver {
  return {
    name: driver.name,
    features: driver.features,
    hostBoot: () => driver.hostBoot(),
    start: () => driver.start(),
    create: (spec: MachineSpec, signal?: AbortSignal) => {
      const stop = signal === undefined ? life.death : AbortSignal.any([signal, life.death]);
      return life.pass(async () => mortal(await driver.create(spec, stop), life, hooks));
    },
    restore: (spec: MachineSpec, key: Uint8Array, signal?: AbortSignal, onReachable?: (machine: Machine) => void) => {
      const stop = signal === undefined ? life.death : AbortSignal.any([signal, life.death]);
      let reachable: Machine | null = null;
      const tell = (machine: Machine): void => {
        reachable = mortal(machine, life, hooks);
        if (!life.dead) onReachable?.(reachable);
      };
      return life.pass(async () => {
        const machine = await driver.restore(spec, key, stop, tell);
        return reachable ?? mortal(machine, life, hooks);
      });
    },
    dropSnapshot: (id) => life.pass(() => driver.dropSnapshot(id)),
    adopt: () => life.pass(async () => (await driver.adopt()).map((machine) => mortal(machine, life, hooks))),
    discard: (id) => life.pass(() => driver.discard(id)),
    close: () => driver.close(),
  };
}

/** A dead process writes nothing. */
function mortalStore(store: Store, life: Generation): Store {
  return new Proxy(store, {
    get: (target, name: keyof Store) => {
      const method = target[name].bind(target) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => (life.dead ? undefined : method(...args));
    },
  });
}

function emptyDatabase(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  db.exec(schema);
  return db;
}

/** Knows no more than which instances have lines; a daemon that was killed writes none. */
const memoryLogs = (logged: Set<string>, life: Generation): Logs => ({
  append: (id) => void (life.dead || logged.add(id)),
  delete: async (id) => void (life.dead || logged.delete(id)),
  flush: async () => undefined,
  pressure: () => null,
  newestSeq: async () => 0,
  read: async function* () {
    yield* [];
  },
});

/** A host with one daemon on it, which may be killed and started again; everything below the core is fake. */
export class RaceWorld {
  readonly host = new FakeHost();
  readonly driver = new FakeDriver(this.host);
  readonly store: SqliteStore;
  readonly warnings: string[] = [];
  /** instances that have log lines */
  readonly logged = new Set<string>();
  /** streams from inside that were let through */
  readonly reverseStreams: string[] = [];
  readonly hooks: MachineHooks;
  openPorts = new Map<number, string>();
  /** there are, each with an empty value */
  secretNames: string[] = [];
  instances: Instances;
  readonly #logs: Logs | null;
  readonly #snapshotKey = new Uint8Array(32);
  #life = new Generation();
  #nextPort = 20_000;

  /** @param kept where what is written down goes; else into memory */
  constructor(hooks: MachineHooks, kept?: { store: SqliteStore; logs: Logs }) {
    this.hooks = hooks;
    this.store = kept?.store ?? new SqliteStore(emptyDatabase());
    this.#logs = kept?.logs ?? null;
    this.instances = this.#daemon();
  }

  /** `kill -9`, then the next daemon. */
  async crash(): Promise<void> {
    this.#life.die();
    await this.#next();
  }

  /** The daemon ends in good order and the next one comes. */
  async restart(): Promise<void> {
    await this.instances.forgetAll();
    this.#life.die();
    await this.#next();
  }

  async #next(): Promise<void> {
    this.#life = new Generation();
    this.openPorts = new Map();
    this.instances = this.#daemon();
    await this.instances.reconcile();
  }

  #daemon(): Instances {
    const store = mortalStore(this.store, this.#life);
    const warn = (message: string): void => void this.warnings.push(message);
    const { openPorts, logged } = this;
    return new Instances(
      {
        store,
        warn,
        hostBoot: this.host.bootId,
        events: new EventLog(store, warn),
        audit: { record: () => undefined },
        bindings: new BindingBook(new UsageLedger({ load: () => [], save: () => undefined }, warn), () => undefined),
        driver: mortalDriver(this.driver, this.#life, this.hooks),
        harness: new StreamHarness(),
        images: fakeImages(image),
        secrets: { names: () => this.secretNames, put: () => undefined, delete: () => undefined, reveal: () => "" },
        workspaces: {
          check: () => undefined,
          open: async () => ({ path: "/none", identity: "0:0", [Symbol.asyncDispose]: async () => undefined }),
        },
        logs: this.#logs ?? memoryLogs(logged, this.#life),
        tokens: {
          lifetimeMs: 3_600_000,
          epoch: 0,
          issue: async (id, boot) => `${id}/${boot}`,
          verify: async (token, id, boot) => token === `${id}/${boot}`,
        },
        snapshotKey: () => this.#snapshotKey,
        ingress: {
          open: async (id, endpoint) => {
            const port = endpoint.publicPort ?? this.#nextPort++;
            if (openPorts.has(port)) throw new AegisError("port_taken", "taken");
            openPorts.set(port, id);
            return port;
          },
          close: async (port) => void openPorts.delete(port),
        },
        onReverseStream: (instance: Instance, request, stream) => {
          this.reverseStreams.push(`${instance.id} ${request.token}`);
          stream.destroy();
        },
      },
      { defaults: { imageRef: "test", driver: "fake" }, refuseWhenFull: () => undefined },
    );
  }

  async close(): Promise<void> {
    await this.instances.forgetAll();
    this.#life.die();
    for (const machine of this.host.machines.values()) machine.exit();
    this.store.close();
  }
}
