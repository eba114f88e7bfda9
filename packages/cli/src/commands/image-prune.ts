import type { Register } from "../command-table.ts";
import { finiteDuration } from "../options/duration.ts";
import { humanSize } from "../render/human-size.ts";
import { shortRef } from "../render/instance-text.ts";

interface Options {
  all?: boolean;
  olderThan?: number;
}

export const register: Register = (command, cli) => {
  command
    .option("--all", "also those that were made on this machine: no registry can give them again")
    .option("--older-than <time>", "only what nothing has booted from for so long, as in 12h or 7d", finiteDuration)
    .action(async ({ all = false, olderThan = 0 }: Options) => {
      const pruned = await cli.client.images.prune({ all, unused_older_than_s: Math.floor(olderThan) });
      const lines = pruned.deleted.map((ref) => `deleted ${shortRef(ref)}`);
      cli.answer(pruned, () => [...lines, `freed ${humanSize(pruned.freed_bytes)}`].join("\n"));
    });
};
