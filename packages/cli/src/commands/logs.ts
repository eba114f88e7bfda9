import type { LogLine } from "@aegis/protocol/exec";
import type { Cli } from "../cli.ts";
import type { Register } from "../command-table.ts";
import { wholeNumber } from "../options/counts.ts";
import { interruptible } from "../terminal/interruptible.ts";

interface LogsOptions {
  follow?: true;
  tail?: number;
  since?: string;
  timestamps?: true;
}

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .option("-f, --follow", "go on with new lines, until Ctrl-C")
    .option("--tail <n>", "only the last n lines", wholeNumber)
    .option("--since <time>", "only lines from then on, as in 2026-01-31T12:00:00Z")
    .option("-t, --timestamps", "with the time of each line")
    .action((name: string, options: LogsOptions) =>
      interruptible(cli.context.signals, async (signal) => {
        const { follow, tail, since } = options;
        const query = {
          ...(follow && { follow }),
          ...(tail !== undefined && { tail }),
          ...(since !== undefined && { since }),
        };
        for await (const line of cli.client.instances.logs(name, { ...query, signal }))
          cli.answer(line, () => lineText(cli, line, options.timestamps === true));
      }),
    );
};

function lineText(cli: Cli, line: LogLine, timestamps: boolean): string {
  const text = line.source === "system" ? cli.palette.dim(`-- ${line.line}`) : line.line;
  return timestamps ? `${cli.palette.dim(line.ts)} ${text}` : text;
}
