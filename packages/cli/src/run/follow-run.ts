import type { LogLine } from "@aegis/protocol/exec";
import type { CreateInstance, InstanceView } from "@aegis/protocol/instance";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import { messageOf } from "@aegis/protocol/errors";
import { noteOtherCommand } from "../boot-instance.ts";
import type { Cli } from "../cli.ts";
import type { AttachOptions } from "./attach-options.ts";
import { AttachedLease } from "./attached-lease.ts";
import { LogCursor } from "./log-cursor.ts";
import { stopOnSignal } from "./stop-on-signal.ts";

const INTERRUPTED_EXIT_CODE = 130;

/**
 * Creates an instance, shows what it prints until it ends, and stops it on Ctrl-C.
 * @returns its exit code
 */
export async function followRun(cli: Cli, body: CreateInstance, attach: AttachOptions): Promise<number> {
  const cursor = new LogCursor(new Date(cli.context.now()).toISOString());
  const created = await cli.client.instances.create(body);
  noteOtherCommand(cli, created, body);
  for (const endpoint of created.endpoints) cli.note(`${created.handle} answers at ${endpoint.url}`);
  const stop = stopOnSignal(cli, created);
  const lease = new AttachedLease(cli.client, created.id);
  if (attach.stayAwake) lease.start();
  try {
    const ended = await followToEnd(cli, created.id, cursor, stop.left);
    return exitCodeOf(cli, ended);
  } catch (error) {
    if (!stop.left.aborted) throw error;
    return INTERRUPTED_EXIT_CODE;
  } finally {
    stop.off();
    if (!stop.left.aborted) await lease.release();
    if (attach.deleteAfter && !stop.left.aborted) await cli.client.instances.delete(created.id);
  }
}

async function followToEnd(cli: Cli, id: string, cursor: LogCursor, left: AbortSignal): Promise<InstanceView> {
  const ended = new AbortController();
  const signal = AbortSignal.any([left, ended.signal]);
  const following = follow(cli, id, cursor, signal);
  try {
    return await waitForInstance(cli.client, id, hasEnded, {
      signal: left,
      onProgress: (message) => cli.note(message),
    });
  } finally {
    ended.abort();
    await following;
    if (!left.aborted) await printRest(cli, id, cursor);
  }
}

const hasEnded = ({ state, restart_at }: InstanceView) =>
  (state === "stopped" || state === "failed") && restart_at === null;

async function follow(cli: Cli, id: string, cursor: LogCursor, signal: AbortSignal): Promise<void> {
  try {
    for await (const line of cli.client.instances.logs(id, { follow: true, since: cursor.since, signal })) {
      cursor.pass(line);
      printLine(cli, line);
    }
  } catch (error) {
    // whatever else ends the log also ends the wait for the instance, which says it better
    if (!signal.aborted) cli.note(`the log broke off: ${messageOf(error)}`);
  }
}

/** What was written between the last line that we followed and the end. */
async function printRest(cli: Cli, id: string, cursor: LogCursor): Promise<void> {
  const isFresh = cursor.fresh();
  for await (const line of cli.client.instances.logs(id, { since: cursor.since }))
    if (isFresh(line)) printLine(cli, line);
}

function printLine(cli: Cli, line: LogLine): void {
  if (cli.json) return cli.printJson(line);
  switch (line.source) {
    case "boot":
      cli.context[line.stream].write(`${line.line}\n`);
      break;
    case "system":
      // our own exit code says it already
      if (!line.line.startsWith("process exited")) cli.note(`-- ${line.line}`);
      break;
    case "exec":
      break;
  }
}

function exitCodeOf(cli: Cli, instance: InstanceView): number {
  if (cli.json) cli.printJson(instance);
  if (instance.failure !== null) cli.context.stderr.write(`aegis: ${instance.handle} failed: ${instance.failure}\n`);
  return instance.exit_code ?? (instance.state === "failed" ? 1 : INTERRUPTED_EXIT_CODE);
}
