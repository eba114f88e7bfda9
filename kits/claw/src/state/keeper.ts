import type { AegisClient } from "@aegis/sdk/client";
import { AegisError } from "@aegis/protocol/errors";
import { waitForInstance } from "@aegis/sdk/instance-watch";

/** OpenClaw's doctor loads all of OpenClaw. */
const MEMORY_MB = 1536;
const SHOWN = 600;

export type Bytes = AsyncIterable<Uint8Array>;

/** What a command in the keeper gets and gives; without `onOutput` its output is only for the error. */
export interface KeeperRun {
  env?: Record<string, string>;
  input?: Bytes;
  onOutput?: (bytes: Uint8Array) => Promise<void>;
}

/**
 * A machine that is there for as long as somebody works on a workspace: what is in it was written by a guest, so nothing
 * of it is unpacked or run on the host.
 */
export class Keeper {
  readonly #client: AegisClient;
  readonly #id: string;
  readonly #signal: AbortSignal;

  private constructor(client: AegisClient, id: string, signal: AbortSignal) {
    this.#client = client;
    this.#id = id;
    this.#signal = signal;
  }

  static async open(
    client: AegisClient,
    { handle, image, workspace }: { handle: string; image: string; workspace: string },
    signal: AbortSignal,
  ): Promise<Keeper> {
    // one that was left behind by a run that was killed
    await remove(client, handle);
    const { id } = await client.instances.create({
      handle,
      image_ref: image,
      workspace,
      command: ["sleep", "infinity"],
      memory_mb: MEMORY_MB,
      pause_after_idle_s: null,
      lifetime_s: 3600,
      network: { mode: "none" },
    });
    const keeper = new Keeper(client, id, signal);
    try {
      const { state, failure } = await waitForInstance(client, id, (now) => now.state !== "starting", { signal });
      if (state === "running") return keeper;
      throw new AegisError("driver_failed", `${handle} could not start: ${failure ?? state}.`);
    } catch (error) {
      await keeper.close();
      throw error;
    }
  }

  /** @throws AegisError with the end of what the command said, when it fails */
  async run(command: string[], { env = {}, input, onOutput }: KeeperRun = {}): Promise<string> {
    const session = await this.#client.instances.execInteractive(this.#id, { command, env, signal: this.#signal });
    const feeding = feed(session, input);
    let said = "";
    try {
      for await (const part of session.output()) {
        if (part.kind === "exit") {
          const { code, signal } = part.exit;
          if (code === 0) return said;
          throw new AegisError("internal", `${command[0]} failed (${signal ?? code}): ${said.trim()}`);
        }
        if (part.kind === "stdout" && onOutput !== undefined) await onOutput(part.bytes);
        else said = (said + Buffer.from(part.bytes).toString()).slice(-SHOWN);
      }
      throw new AegisError("guest_unreachable", `${command[0]} was cut off.`);
    } finally {
      session.close();
      await feeding;
    }
  }

  close(): Promise<void> {
    return remove(this.#client, this.#id);
  }
}

interface Fed {
  write(bytes: Uint8Array): Promise<void>;
  endInput(): Promise<void>;
}

/** A source that breaks ends the input early, which the reader of an archive notices. */
async function feed(session: Fed & { close(): void }, input: Bytes | undefined): Promise<void> {
  try {
    for await (const bytes of input ?? []) await session.write(bytes);
    await session.endInput();
  } catch {
    session.close();
  }
}

async function remove(client: AegisClient, name: string): Promise<void> {
  try {
    await client.instances.delete(name);
  } catch (error) {
    if (!(error instanceof AegisError) || (error.status !== 404 && error.status !== 410)) throw error;
  }
}
