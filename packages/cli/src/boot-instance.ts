import { AegisError } from "@aegis/protocol/errors";
import type { CreateInstance, InstanceView } from "@aegis/protocol/instance";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import type { Cli } from "./cli.ts";

/**
 * Waits until an instance is past its start and shows what goes on meanwhile.
 * @throws AegisError `driver_failed` when it could not start
 */
export async function bootInstance(cli: Cli, id: string, asked: CreateInstance): Promise<InstanceView> {
  const instance = await waitForInstance(cli.client, id, (now) => now.state !== "starting", {
    onProgress: (message) => cli.note(message),
  });
  noteOtherCommand(cli, instance, asked);
  if (instance.state === "failed")
    throw new AegisError(
      "driver_failed",
      `${instance.handle} did not start: ${instance.failure ?? "no reason given"}; see \`aegis logs ${instance.handle}\``,
    );
  return instance;
}

/**
 * `run` with a command of its own is not answered by an instance that would start with another one.
 * @throws AegisError `handle_taken`
 */
export async function refuseOtherCommand(cli: Cli, { handle, command }: CreateInstance): Promise<void> {
  if (handle === undefined || command === undefined) return;
  const existing = (await cli.client.instances.list()).find((instance) => instance.handle === handle);
  if (existing === undefined || existing.command.join("\0") === command.join("\0")) return;
  throw new AegisError(
    "handle_taken",
    `${handle} exists and was made for another command, ${existing.command.join(" ")}. Delete it first, choose another --name, or run this one in it: aegis exec ${handle} -- CMD`,
  );
}

/** An instance that existed already starts with what it was made with, which may surprise. */
export function noteOtherCommand(
  cli: Cli,
  instance: { handle: string; command: string[] },
  asked: CreateInstance,
): void {
  if (asked.command === undefined || asked.command.join("\0") === instance.command.join("\0")) return;
  cli.note(
    `${instance.handle} existed already and starts with its own command, ${instance.command.join(" ")}: delete it first to change that`,
  );
}
