import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { AegisEvent } from "@aegis/protocol/event";
import type { InstanceStats, InstanceView } from "@aegis/protocol/instance";
import { SANDBOX_PREFIX } from "../../../../kits/claw/guest/plugin/sandbox-desk.ts";
import { KitFixture } from "../../kit-fixture.ts";
import { cpuTimeOf } from "../process-memory.ts";
import { orAborted } from "./aborted.ts";
import { PERSON, TOKEN } from "./chat.ts";
import { untilHealthy } from "./until-healthy.ts";

const BOT = "claw-bot";
const ASK_AGAIN_MS = 200;

/** CPU time since its start, in ms, of each of those that a sleeping bot needs. */
export interface CpuTimes {
  bot: number;
  aegisd: number;
  relay: number;
}

/** The kit on a home of its own, as `npm start` starts it. */
export class KitBot implements AsyncDisposable {
  readonly #kit: KitFixture;
  readonly #signal: AbortSignal;

  constructor(urls: { botApi: string; model: string }, signal: AbortSignal) {
    this.#signal = signal;
    this.#kit = new KitFixture({
      TELEGRAM_BOT_TOKEN: TOKEN,
      TELEGRAM_API_ROOT: urls.botApi,
      TELEGRAM_ALLOW_FROM: String(PERSON),
      OPENAI_BASE_URL: urls.model,
      OPENAI_MODEL: "echo",
    });
  }

  /** @returns ms from the start of the bot's machine until the kit says that it is ready */
  async start(): Promise<number> {
    await orAborted(this.#kit.start("Chat"), this.#signal);
    const ready = Date.now();
    const { id, event_seq: last = 0 } = await this.#view();
    let began = ready;
    for await (const event of this.#events(0)) {
      if (event.type === "instance.state" && event.instance_id === id && event.state === "starting")
        began = Date.parse(event.ts);
      if (event.seq >= last) break;
    }
    return ready - began;
  }

  async stop(): Promise<void> {
    await this.#kit.interrupt();
  }

  /** @returns ms until its webhook answers again */
  async restart(): Promise<number> {
    const start = performance.now();
    await this.#kit.client.instances.restart(BOT);
    const port = (await this.#view()).endpoints[0]?.public_port ?? 0;
    await untilHealthy(port, this.#signal);
    return performance.now() - start;
  }

  /** Pauses it as soon as OpenClaw agrees. */
  async pause(): Promise<void> {
    for (;;) {
      try {
        await this.#kit.client.instances.pause(BOT);
        return;
      } catch (error) {
        if (!(error instanceof AegisError && error.code === "wrong_state")) throw error;
        await delay(ASK_AGAIN_MS, undefined, { signal: this.#signal });
      }
    }
  }

  /** Pauses it, and waits until its memory has gone to swap. */
  async pauseIntoSwap(): Promise<Extract<AegisEvent, { type: "instance.memory" }>> {
    const { event_seq: since = 0, id } = await this.#view();
    await this.pause();
    for await (const event of this.#events(since))
      if (event.type === "instance.memory" && event.instance_id === id) return event;
    throw new Error("the events ended");
  }

  /** The next command of each chat makes a new one. */
  async deleteSandboxes(): Promise<void> {
    for (const { id } of await this.#sandboxes()) await this.#kit.client.instances.delete(id);
  }

  async pauseSandboxes(): Promise<void> {
    for (const { id } of await this.#sandboxes()) await this.#kit.client.instances.pause(id);
  }

  async stats(): Promise<InstanceStats> {
    const { stats } = await this.#view();
    if (stats === null) throw new Error("the bot does not run");
    return stats;
  }

  async cpuTimes(): Promise<CpuTimes> {
    const { pid } = await this.#kit.client.status();
    const up = JSON.parse(readFileSync(join(this.#kit.home, "claw/up.pid"), "utf8")) as { pid: number };
    return { bot: (await this.stats()).cpu_ms, aegisd: cpuTimeOf(pid), relay: cpuTimeOf(up.pid) };
  }

  async state(): Promise<string> {
    return (await this.#view()).state;
  }

  /** The files of its image on the host. */
  async rootfs(): Promise<string> {
    const { image_digest: digest } = await this.#view();
    return join(this.#kit.images, "unpacked", String(digest).replace(":", "-"), "rootfs");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = await this.#kit.remove();
    if (left.length > 0) throw new Error(`left on the host:\n${left.join("\n")}`);
  }

  #view(): Promise<InstanceView> {
    return this.#kit.client.instances.get(BOT);
  }

  async #sandboxes(): Promise<InstanceView[]> {
    const all = await this.#kit.client.instances.list();
    return all.filter(({ handle }) => handle.startsWith(SANDBOX_PREFIX));
  }

  async *#events(sinceSeq: number): AsyncGenerator<AegisEvent> {
    const ending = new AbortController();
    try {
      yield* this.#kit.client.events({ sinceSeq, signal: AbortSignal.any([this.#signal, ending.signal]) });
    } finally {
      ending.abort();
    }
  }
}
