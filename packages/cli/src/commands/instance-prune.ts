import type { Register } from "../command-table.ts";
import { finiteDuration } from "../options/duration.ts";
import { humanDuration } from "../render/human-time.ts";

const WEEK_S = 7 * 86_400;

export const register: Register = (command, cli) => {
  command
    .option("--older-than <time>", "stopped for longer than this, as in 12h or 7d (default 7d)", finiteDuration)
    .action(async ({ olderThan = WEEK_S }: { olderThan?: number }) => {
      const deleted = await cli.client.instances.prune(olderThan);
      cli.answer({ deleted }, () =>
        deleted.length === 0
          ? `nothing has been stopped for longer than ${humanDuration(olderThan)}`
          : deleted.map((name) => `deleted ${name}`).join("\n"),
      );
    });
};
