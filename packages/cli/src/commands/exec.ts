import { AegisError } from "@aegis/protocol/errors";
import type { Cli } from "../cli.ts";
import type { Register } from "../command-table.ts";
import { commandOf } from "../options/command-of.ts";
import { env } from "../options/env.ts";
import { runAttached } from "../terminal/attached-exec.ts";

interface ExecOptions {
  interactive?: true;
  tty?: true;
  env?: Record<string, string>;
  cwd?: string;
  user?: string;
}

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id; a paused one is woken")
    .argument("[command...]")
    .usage("[options] NAME -- CMD")
    .option("-i, --interactive", "forward stdin")
    .option("-t, --tty", "a terminal, as a shell wants it")
    .option("--env <name=value>", "a variable; again for more", env)
    .option("--cwd <path>", "where to run it")
    .option("--user <user>", "as whom, by name or uid")
    .action((name: string, words: string[], options: ExecOptions) => exec(cli, name, words, options));
};

async function exec(cli: Cli, name: string, words: string[], options: ExecOptions): Promise<void> {
  const request = { ...execFields(options), command: commandOf(cli.tail, words) };
  if (cli.json) return printLines(cli, name, request);
  if (options.tty && cli.context.stdin.isTTY !== true && options.interactive)
    throw new AegisError("invalid_request", "-t needs a terminal and stdin is none: leave out -t");
  cli.exitCode = await runAttached(cli.context, cli.client, name, request, options.interactive === true);
}

async function printLines(cli: Cli, name: string, request: { command: string[] }): Promise<void> {
  for await (const line of cli.client.instances.exec(name, request)) {
    cli.printJson(line);
    if ("exit_code" in line) cli.exitCode = line.exit_code;
  }
}

const execFields = ({ tty, env: variables, cwd, user }: ExecOptions) => ({
  ...(tty && { tty: true }),
  ...(variables && { env: variables }),
  ...(cwd !== undefined && { cwd }),
  ...(user !== undefined && { user }),
});
