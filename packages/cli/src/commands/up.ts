import { runningDaemon, startDaemon } from "@aegis/sdk/daemon-process";
import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.action(async () => {
    const before = await runningDaemon(cli.home);
    if (before === null && process.getuid?.() !== 0)
      cli.note("aegisd makes networks and cgroups and so needs root: asking sudo");
    const status = before ?? (await startDaemon({ home: cli.home, env: cli.context.env }));
    const how = before === null ? "is running" : "is already running";
    cli.answer({ ...status, started: before === null }, () => `aegisd ${how} (pid ${status.pid}, ${cli.home})`);
  });
};
