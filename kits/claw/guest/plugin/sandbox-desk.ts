import { randomBytes } from "node:crypto";
import type { InstanceView, SpawnInstance } from "@aegis/protocol/instance";
import type { WorkConfig } from "../claw-config.ts";
import { type GuestApi, GuestApiError } from "./guest-api.ts";
import type { SandboxStore } from "./sandbox-store.ts";

const PREFIX = "sandbox-";
const HANDLE = /^sandbox-[a-z0-9][a-z0-9-]*$/;
const MEMORY_MB = 512;
/** It does nothing by itself: what the agent's tools want, they run beside it. */
const COMMAND = ["sleep", "infinity"];

/** Makes and finds the instances that the tools of the bot's own agent run in, one for each chat. */
export class SandboxDesk {
  readonly #api: GuestApi;
  readonly #store: SandboxStore;
  readonly #work: WorkConfig;
  readonly #making = new Map<string, Promise<string>>();

  constructor(api: GuestApi, store: SandboxStore, work: WorkConfig) {
    this.#api = api;
    this.#store = store;
    this.#work = work;
  }

  /** A new handle that tells whose it is: `agent:main:telegram:direct:42` has `sandbox-telegram-direct-42-1a2b3c4d`. */
  mint(scopeKey: string): string {
    const whose = scopeKey
      .replace(/^agent:[^:]*:/, "")
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-")
      .replaceAll(/^-+|-+$/g, "")
      .slice(0, 40);
    return `${PREFIX}${whose === "" ? "" : `${whose}-`}${randomBytes(4).toString("hex")}`;
  }

  /** Whether it has been there and never will be again; forgets it then. */
  async isGone(handle: string): Promise<boolean> {
    const id = this.#store.idOf(handle);
    if (id === null || (await this.#find(id)) !== null) return false;
    this.#store.forget(handle);
    return true;
  }

  /** Makes it on first use, starts one that was stopped; a paused one wakes by itself. @returns its id */
  async ready(handle: string): Promise<string> {
    if (!HANDLE.test(handle)) throw new Error(`${handle} is no sandbox of this bot`);
    const going = this.#making.get(handle) ?? this.#ready(handle).finally(() => this.#making.delete(handle));
    this.#making.set(handle, going);
    return await going;
  }

  async isRunning(handle: string): Promise<boolean> {
    const view = await this.#find(this.#store.idOf(handle) ?? handle);
    return view !== null && !isDown(view);
  }

  /** Its workspace stays on the host, as that of all instances. */
  async remove(handle: string): Promise<void> {
    const id = this.#store.idOf(handle);
    if (id === null) return;
    try {
      await this.#api.delete(id);
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
    this.#store.forget(handle);
  }

  async #ready(handle: string): Promise<string> {
    const id = this.#store.idOf(handle);
    if (id === null) return await this.#make(handle);
    const view = await this.#find(id);
    if (view === null) throw new Error(`${handle} was deleted. The next message gets a new one.`);
    if (isDown(view)) await this.#api.start(id);
    return id;
  }

  async #make(handle: string): Promise<string> {
    const id = await this.#spawn(handle);
    this.#store.add(handle, id);
    return id;
  }

  async #spawn(handle: string): Promise<string> {
    try {
      return (await this.#api.spawn(this.#body(handle))).id;
    } catch (error) {
      if (!(error instanceof GuestApiError && error.code === "handle_taken")) throw error;
      // made before, and the bot ended before it could note it
      const { id } = await this.#api.get(handle);
      return id;
    }
  }

  /** No bindings, no secrets, no ports, no children, and of the network what all work instances have. */
  #body(handle: string): SpawnInstance {
    const { image, max_memory_mb, vcpus, pause_after_idle_s, stop_after_paused_s } = this.#work;
    return {
      handle,
      image_ref: image,
      workspace: handle,
      command: COMMAND,
      memory_mb: Math.min(MEMORY_MB, max_memory_mb),
      vcpus,
      pause_after_idle_s,
      stop_after_paused_s,
    };
  }

  async #find(id: string): Promise<InstanceView | null> {
    try {
      return await this.#api.get(id);
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  }
}

const isDown = ({ state }: InstanceView): boolean => state === "stopped" || state === "failed";

const isAbsent = (error: unknown): boolean =>
  error instanceof GuestApiError && (error.code === "instance_not_found" || error.code === "instance_deleted");
