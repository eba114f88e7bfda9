import type { CreateInstance } from "@aegis/protocol/instance";
import { InvalidArgumentError } from "commander";
import { bootInstance, noteOtherCommand, refuseOtherCommand } from "../boot-instance.ts";
import type { Cli } from "../cli.ts";
import type { Register } from "../command-table.ts";
import { commandOf } from "../options/command-of.ts";
import { addInstanceOptions, createBody, type InstanceOptions } from "../options/instance-options.ts";
import { followRun } from "../run/follow-run.ts";
import { runInteractive } from "../run/run-interactive.ts";

interface RunOptions extends InstanceOptions {
  detach?: true;
  rm?: true;
  interactive?: true;
  tty?: true;
}

const NOTES = `
Ctrl-C stops the instance, a second one leaves it. While attached it stays awake, unless --idle-timeout says otherwise.
With -i or -t the command runs as an exec in an instance that only waits, and the instance stops with it.`;

export const register: Register = (command, cli) => {
  addInstanceOptions(command.argument("[command...]"))
    .usage("[options] -- CMD")
    .option("-d, --detach", "print its name and leave it running")
    .option("--rm", "delete it when it has ended")
    .option("-i, --interactive", "forward stdin")
    .option("-t, --tty", "a terminal, as a shell wants it")
    .addHelpText("after", NOTES)
    .action((words: string[], options: RunOptions) => run(cli, words, options));
};

async function run(cli: Cli, words: string[], options: RunOptions): Promise<void> {
  const wanted = commandOf(cli.tail, words);
  if (options.detach && (options.rm || options.interactive || options.tty))
    throw new InvalidArgumentError("--detach does not go with --rm, -i or -t");
  const body = createBody(options, wanted, cli.context.cwd);
  await refuseOtherCommand(cli, body);
  if (options.detach) return detach(cli, body);
  const attach = options.interactive || options.tty ? runInteractive : followRun;
  cli.exitCode = await attach(cli, body, {
    deleteAfter: options.rm === true,
    stayAwake: options.idleTimeout === undefined,
    input: options.interactive === true,
    tty: options.tty === true,
  });
}

async function detach(cli: Cli, body: CreateInstance): Promise<void> {
  const created = await cli.client.instances.create(body);
  noteOtherCommand(cli, created, body);
  const instance = await bootInstance(cli, created.id, {});
  cli.answer(instance, () => instance.handle);
}
