import { runningDaemon, stopDaemon } from "@aegis/sdk/daemon-process";
import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command
    .option("--keep", "leave the instances running; the next `aegis up` takes them up again")
    .action(async ({ keep }: { keep?: true }) => {
      const running = (await runningDaemon(cli.home)) !== null;
      if (running) await stopDaemon(cli.home, { stopInstances: keep !== true });
      cli.answer({ stopped: running }, () => (running ? "aegisd has stopped" : `aegisd is not running at ${cli.home}`));
    });
};
