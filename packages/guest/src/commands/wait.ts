import type { Register } from "@aegis/cli/command-table";
import { finiteDuration } from "@aegis/cli/options/duration";
import { AegisError } from "@aegis/protocol/errors";
import type { InstanceView } from "@aegis/protocol/instance";
import { waitForInstance } from "@aegis/sdk/instance-watch";

/** as `timeout` says it */
const TIMED_OUT = 124;

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .option("--timeout <time>", "for so long at most, as in 90s or 5m; then exit code 124", finiteDuration)
    .action(async (name: string, options: { timeout?: number }) => {
      const limit = options.timeout === undefined ? null : AbortSignal.timeout(options.timeout * 1000);
      try {
        const ended = await waitForInstance(cli.client, name, hasEnded, limit === null ? {} : { signal: limit });
        if (cli.json) cli.printJson(ended);
        if (ended.failure !== null) cli.note(`${ended.handle} failed: ${ended.failure}`);
        cli.exitCode = ended.exit_code ?? (ended.failure === null ? 0 : 1);
      } catch (error) {
        if (limit?.aborted !== true || error instanceof AegisError) throw error;
        cli.note(`${name} has not ended after ${options.timeout} s`);
        cli.exitCode = TIMED_OUT;
      }
    });
};

const hasEnded = ({ state, restart_at }: InstanceView): boolean =>
  (state === "stopped" || state === "failed") && restart_at === null;
