import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { InstanceView, SpawnInstance } from "@aegis/protocol/instance";
import { BROUGHT, CLAW_WORK_ENV, INPUT_FOLDER, SITE_PORT, type WorkSpec } from "../work-spec.ts";
import { shorten } from "./chat-text.ts";
import type { Attachment, Inbox } from "./inbox.ts";
import { GuestApiError, type GuestApi, type Spawned } from "./guest-api.ts";
import type { DeliveryContext } from "./openclaw-api.ts";
import type { PluginConfig } from "./plugin-config.ts";
import { shellRunner } from "./shell-runner.ts";
import type { WorkOrder } from "./work-order.ts";
import type { WorkRecord } from "./work-record.ts";
import { WorkRefused } from "./work-refused.ts";
import type { WorkStore } from "./work-store.ts";

/** The chat that asks. */
export interface Client {
  session: string;
  agent: string | null;
  chat: DeliveryContext | null;
}

const WORK_PREFIX = "work-";
const RUNNER = ["node", "/opt/claw/work.mjs"];
const MAX_TRIES = 20;
const FULL_NAME = /^work-[a-z0-9][a-z0-9-]*$/;

/** Makes and finds work instances; a chat sees none but its own. */
export class WorkDesk {
  readonly #api: GuestApi;
  readonly #store: WorkStore;
  readonly #config: PluginConfig;
  readonly #inbox: Pick<Inbox, "find">;

  constructor(api: GuestApi, store: WorkStore, config: PluginConfig, inbox: Pick<Inbox, "find">) {
    this.#api = api;
    this.#store = store;
    this.#config = config;
    this.#inbox = inbox;
  }

  /** @throws WorkRefused, GuestApiError */
  async spawn(client: Client, order: WorkOrder): Promise<WorkRecord> {
    this.#refuseTwice(client.session, order);
    const files = order.files.map((wanted) => this.#inbox.find(client.session, wanted));
    const startedAt = new Date().toISOString();
    const spawned = await this.#spawnNamed(order);
    if (files.length > 0) await this.#equip(spawned.id, files);
    const work: WorkRecord = {
      id: spawned.id,
      handle: spawned.handle,
      session: client.session,
      agent: client.agent,
      chat: client.chat,
      kind: kindOf(order),
      title: titleOf(order),
      memory_mb: this.#memoryOf(order),
      url: spawned.endpoints[0]?.url ?? null,
      started_at: startedAt,
      phase: "running",
      progress_message: null,
    };
    this.#store.add(work);
    return work;
  }

  /** Brings files of the chat into work that exists. @returns where they are. @throws WorkRefused, GuestApiError */
  async bring(work: WorkRecord, wanted: readonly string[]): Promise<string[]> {
    const files = wanted.map((one) => this.#inbox.find(work.session, one));
    for (const file of files) await this.#put(work.id, file);
    return files.map(({ name }) => `/workspace/${INPUT_FOLDER}/${name}`);
  }

  /** What the work waits for; without it, there is no work. */
  async #equip(id: string, files: readonly Attachment[]): Promise<void> {
    try {
      for (const file of files) await this.#put(id, file);
      await this.#api.writeFile(id, BROUGHT, new Uint8Array());
    } catch (error) {
      await this.#api.delete(id);
      throw error;
    }
  }

  async #put(id: string, { name, path }: Attachment): Promise<void> {
    const content = await readFile(path).catch((error: unknown) => {
      throw isMissing(error) ? new WorkRefused(`${name} is not there any more. Please send it again.`) : error;
    });
    await this.#api.writeFile(id, `${INPUT_FOLDER}/${name}`, content);
  }

  /** The work of a chat that still exists, newest first, with what the host says of it. */
  list(session: string): Promise<{ work: WorkRecord; instance: InstanceView }[]> {
    return this.existing(this.#store.ofSession(session));
  }

  /** Of these, what still exists, newest first; the rest is forgotten. */
  async existing(mine: readonly WorkRecord[]): Promise<{ work: WorkRecord; instance: InstanceView }[]> {
    if (mine.length === 0) return [];
    const instances = new Map((await this.#api.list()).map((instance) => [instance.id, instance]));
    this.#store.forget(new Set(mine.filter((work) => !instances.has(work.id)).map((work) => work.id)));
    return mine
      .flatMap((work) => {
        const instance = instances.get(work.id);
        return instance === undefined ? [] : [{ work, instance }];
      })
      .reverse();
  }

  /** @param name handle, with or without `work-`; null: the newest. @throws WorkRefused when this chat has no such work */
  find(session: string, name: string | null): WorkRecord {
    const mine = this.#store.ofSession(session);
    const wanted = name === null ? mine.at(-1) : mine.findLast((work) => work.handle === handleOf(name));
    if (wanted !== undefined) return wanted;
    if (mine.length === 0) throw new WorkRefused("This chat has no work instance.");
    throw new WorkRefused(
      `This chat has no work named "${name}". It has: ${mine.map((work) => work.handle).join(", ")}.`,
    );
  }

  /** A model that repeats itself would fill the host with copies of one job. */
  #refuseTwice(session: string, order: WorkOrder): void {
    const title = titleOf(order);
    const same = this.#store.running().find((work) => work.session === session && work.title === title);
    if (same !== undefined)
      throw new WorkRefused(`${same.handle} is doing exactly this already. Its result is sent to the chat by itself.`);
  }

  async #spawnNamed(order: WorkOrder): Promise<Spawned> {
    const taken = new Set((await this.#api.list()).map((instance) => instance.handle));
    if (order.name !== null) {
      const handle = handleOf(order.name);
      if (taken.has(handle)) throw new WorkRefused(`${handle} exists already. Choose another name, or leave it out.`);
      return await this.#api.spawn(this.#body(handle, order));
    }
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const handle = `${WORK_PREFIX}${this.#store.nextNumber()}`;
      if (taken.has(handle)) continue;
      try {
        return await this.#api.spawn(this.#body(handle, order));
      } catch (error) {
        // somebody else's instance, which this bot cannot see
        if (!(error instanceof GuestApiError && error.code === "handle_taken")) throw error;
      }
    }
    throw new WorkRefused("No free name for a work instance was found. Give it a name.");
  }

  #body(handle: string, order: WorkOrder): SpawnInstance {
    const { work } = this.#config;
    const foreign = order.image !== null && order.image !== work.image;
    if (foreign && order.kind === "task")
      throw new WorkRefused("A task needs the agent of the default image. Leave the image out, or give a command.");
    const exposes = exposesOf(order);
    return {
      handle,
      image_ref: order.image ?? work.image,
      // never that of an instance before it, whose work would count as this one's
      workspace: `${handle}-${randomBytes(4).toString("hex")}`,
      command:
        foreign && order.kind === "command"
          ? shellRunner(order.command, exposes[0] ?? null, order.files.length > 0)
          : RUNNER,
      env: foreign ? {} : { [CLAW_WORK_ENV]: JSON.stringify(this.#spec(order)) },
      exposes,
      memory_mb: this.#memoryOf(order),
      vcpus: work.vcpus,
      // nobody in it could say that it is not idle, and it ends by itself
      pause_after_idle_s: foreign && exposes.length === 0 ? null : work.pause_after_idle_s,
      stop_after_paused_s: work.stop_after_paused_s,
      bindings: order.kind === "task" ? ["llm"] : [],
      ...(order.network === null ? {} : { network: order.network }),
      ...(order.lifetimeS === null ? {} : { lifetime_s: order.lifetimeS }),
    };
  }

  #spec(order: WorkOrder): WorkSpec {
    const port = exposesOf(order)[0] ?? SITE_PORT;
    const job: WorkSpec["job"] =
      order.kind === "task"
        ? { kind: "task", task: order.task, llm: this.#config.llm }
        : { kind: "command", command: order.command, server: order.ports.length > 0 };
    return { title: titleOf(order), job, port, ...(order.files.length > 0 ? { brings_files: true } : {}) };
  }

  #memoryOf(order: WorkOrder): number {
    const { memory_mb: usual, max_memory_mb: most } = this.#config.work;
    const wanted = order.memoryMb ?? usual;
    if (wanted > most) throw new WorkRefused(`A work instance gets at most ${most} MB of memory, not ${wanted} MB.`);
    return wanted;
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";

/** A task's site comes first: its link is the one that people get. */
const exposesOf = (order: WorkOrder): number[] =>
  order.kind === "task" ? [SITE_PORT, ...order.ports.filter((port) => port !== SITE_PORT)] : order.ports;

const kindOf = (order: WorkOrder): WorkRecord["kind"] =>
  order.kind === "command" && order.ports.length > 0 ? "server" : order.kind;

const titleOf = (order: WorkOrder): string =>
  shorten((order.kind === "task" ? order.task : order.command).trim().replaceAll(/\s+/g, " "), 200);

function handleOf(name: string): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 50);
  const handle = plain.startsWith(WORK_PREFIX) ? plain : `${WORK_PREFIX}${plain}`;
  if (!FULL_NAME.test(handle))
    throw new WorkRefused(`"${name}" is no name for a work instance: use letters and digits.`);
  return handle;
}
