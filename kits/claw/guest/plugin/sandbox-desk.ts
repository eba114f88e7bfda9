import { randomBytes } from "node:crypto";
import type { InstanceView, SpawnInstance } from "@aegis/protocol/instance";
import type { WorkConfig } from "../claw-config.ts";
import { type GuestApi, GuestApiError } from "./guest-api.ts";
import type { SandboxStore } from "./sandbox-store.ts";

/** of their handles and of their workspaces */
export const SANDBOX_PREFIX = "sandbox-";
const HANDLE = /^sandbox-[a-z0-9][a-z0-9-]*$/;
/** at one time, so that there is room for work beside them */
export const MAX_SANDBOXES = 8;
export const SANDBOX_MEMORY_MB = 512;
/** It does nothing by itself: what the agent's tools want, they run beside it. */
const COMMAND = ["sleep", "infinity"];

/** Makes and finds the instances that the tools of the bot's own agent run in, one for each chat. */
export class SandboxDesk {
  readonly #api: GuestApi;
  readonly #store: SandboxStore;
  readonly #work: WorkConfig;
  readonly #making = new Map<string, Promise<string>>();
  /** handles by the session of their chat; OpenClaw tells of it at every turn */
  readonly #ofSessions = new Map<string, string>();

  constructor(api: GuestApi, store: SandboxStore, work: WorkConfig) {
    this.#api = api;
    this.#store = store;
    this.#work = work;
  }

  /** Notes whose it is. @param scopeKey OpenClaw's session of the chat, with or without a folder */
  belongsTo(scopeKey: string, handle: string): void {
    this.#ofSessions.set(sessionOf(scopeKey), handle);
  }

  /** @returns the sandbox of a session; null: no tool has used one yet */
  of(session: string): { id: string; handle: string } | null {
    const handle = this.#ofSessions.get(session);
    const id = handle === undefined ? null : this.#store.idOf(handle);
    return handle === undefined || id === null ? null : { id, handle };
  }

  /** A new handle that tells whose it is: `agent:main:telegram:direct:42:workspace:0a1b...` has `sandbox-telegram-direct-42-1a2b3c4d`. */
  mint(scopeKey: string): string {
    const whose = sessionOf(scopeKey)
      .replace(/^agent:[^:]*:/, "")
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-")
      .replaceAll(/^-+|-+$/g, "")
      .slice(0, 40);
    return `${SANDBOX_PREFIX}${whose === "" ? "" : `${whose}-`}${randomBytes(4).toString("hex")}`;
  }

  /** Whether it has been there and never will be again; forgets it then. */
  async isGone(handle: string): Promise<boolean> {
    const id = this.#store.idOf(handle);
    if (id === null || (await this.#find(id)) !== null) return false;
    this.#store.forget(handle);
    return true;
  }

  /** @returns the id of one that has been made; it may be down, or gone */
  known(handle: string): string | null {
    return this.#store.idOf(handle);
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
    await this.#makeRoom();
    const id = await this.#spawn(handle);
    this.#store.add(handle, id);
    return id;
  }

  /** Puts the one away that was used longest ago: when its chat needs it, it is made again with the workspace that it had. */
  async #makeRoom(): Promise<void> {
    const all = (await this.#api.list()).filter(({ handle }) => handle.startsWith(SANDBOX_PREFIX));
    if (all.length < MAX_SANDBOXES) return;
    const [oldest] = all
      .filter((view) => view.state === "paused" || isDown(view))
      .toSorted((one, other) => one.last_active_at.localeCompare(other.last_active_at));
    if (oldest === undefined)
      throw new Error(`All ${MAX_SANDBOXES} sandboxes of this bot are in use. Try again in a few minutes.`);
    await this.#api.delete(oldest.id);
    this.#store.forget(oldest.handle);
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
      memory_mb: Math.min(SANDBOX_MEMORY_MB, max_memory_mb),
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

const sessionOf = (scopeKey: string): string => scopeKey.replace(/:workspace:[0-9a-f]+$/i, "");

const isDown = ({ state }: InstanceView): boolean => state === "stopped" || state === "failed";

const isAbsent = (error: unknown): boolean =>
  error instanceof GuestApiError && (error.code === "instance_not_found" || error.code === "instance_deleted");
