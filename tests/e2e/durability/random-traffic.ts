import { AegisError } from "../../../packages/protocol/src/errors.ts";
import type { InstanceView } from "../../../packages/protocol/src/instance.ts";
import type { AegisClient } from "../../../packages/sdk/src/client.ts";
import type { Random } from "./random.ts";

const MOST_INSTANCES = 4;
const PORT = 8080;

/** Does random things with the instances of one daemon until it is told to end; that the daemon dies is part of it. */
export class RandomTraffic {
  readonly #client: AegisClient;
  readonly #random: Random;
  /** folder with an OCI layout that is imported and deleted again */
  readonly #layout: string;
  readonly #ended = new AbortController();
  readonly #workers: Promise<void>[] = [];
  done = 0;

  constructor(client: AegisClient, random: Random, layout: string) {
    this.#client = client;
    this.#random = random;
    this.#layout = layout;
  }

  start(workers: number): void {
    for (let n = 0; n < workers; n++) this.#workers.push(this.#work());
  }

  /** Resolves when nothing is under way any more. */
  async end(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#step();
        this.done += 1;
      } catch (error) {
        if (isUnreachable(error)) return;
        // whatever else is refused: it was deleted, stopped or taken in the meantime
        if (!(error instanceof AegisError)) throw error;
      }
    }
  }

  async #step(): Promise<void> {
    const { instances } = this.#client;
    const all = await instances.list();
    const one = this.#random.pick(all);
    if (one === undefined || (all.length < MOST_INSTANCES && this.#random.below(4) === 0)) return this.#create();
    if (this.#random.below(12) === 0) return this.#image();
    return this.#withInstance(one);
  }

  async #create(): Promise<void> {
    await this.#client.instances.create({
      command: ["httpd", "-f", "-p", String(PORT), "-h", "/www"],
      exposes: [PORT],
      memory_mb: 64,
      pause_after_idle_s: this.#random.pick([0.2, null]) ?? null,
      stop_after_paused_s: this.#random.pick([0.3, null]) ?? null,
    });
  }

  async #withInstance({ id, endpoints }: InstanceView): Promise<void> {
    const { instances } = this.#client;
    const act = this.#random.pick([
      "pause",
      "resume",
      "stop",
      "start",
      "exec",
      "exec",
      "wake",
      "wake",
      "ports",
      "lease",
      "delete",
    ]);
    switch (act) {
      case "pause":
      case "resume":
      case "stop":
      case "start":
      case "delete":
        return instances[act](id);
      case "exec":
        for await (const step of instances.exec(id, { command: ["sh", "-c", "echo x >> /root/x"] })) void step;
        return;
      case "wake":
        return request(endpoints[0]?.url);
      case "ports":
        await instances.expose(id, { port: PORT + 1 });
        return this.#random.below(2) === 0 ? instances.unexpose(id, PORT + 1) : undefined;
      case "lease":
        await instances.lease(id, { ttl_ms: 100 + this.#random.below(400), reason: "traffic" });
        return;
      case undefined:
    }
  }

  async #image(): Promise<void> {
    for await (const step of this.#client.images.pull({ ref: "test/extra:1", layout: this.#layout })) void step;
    await this.#client.images.delete("test/extra:1");
  }
}

/** A connection from outside; that it breaks is nothing to speak of. */
async function request(url: string | undefined): Promise<void> {
  if (url === undefined) return;
  try {
    await (await fetch(url, { signal: AbortSignal.timeout(2000) })).text();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

const isUnreachable = (error: unknown): boolean => error instanceof AegisError && error.code === "unavailable";
