import type { CreateInstance } from "@aegis/protocol/instance";
import { bootInstance } from "../boot-instance.ts";
import type { Cli } from "../cli.ts";
import { runAttached } from "../terminal/attached-exec.ts";
import type { AttachOptions } from "./attach-options.ts";

/** What keeps the instance there while the command runs in it as an exec. */
const WAITING = ["sleep", "infinity"];

/**
 * Runs a command with this terminal's stdin: as an exec, since a workload has none.
 * @returns its exit code
 */
export async function runInteractive(cli: Cli, body: CreateInstance, attach: AttachOptions): Promise<number> {
  const created = await cli.client.instances.create({ ...body, command: WAITING });
  try {
    await bootInstance(cli, created.id, {});
    const request = { command: body.command ?? [], ...(attach.tty && { tty: true }) };
    return await runAttached(cli.context, cli.client, created.id, request, attach.input);
  } finally {
    if (attach.deleteAfter) await cli.client.instances.delete(created.id);
    else await cli.client.instances.stop(created.id);
  }
}
