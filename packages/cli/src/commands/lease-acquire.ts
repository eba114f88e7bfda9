import { MAX_LEASE_MS } from "@aegis/protocol/lease";
import { InvalidArgumentError } from "commander";
import type { Register } from "../command-table.ts";
import { finiteDuration } from "../options/duration.ts";

const DEFAULT_S = 600;

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .option("--for <time>", "for so long at most, as in 10m or 2h, up to 24h (default 10m)", leaseTime)
    .option("--reason <text>", "why, for those who look", "by hand")
    .action(async (name: string, options: { for?: number; reason: string }) => {
      const request = { ttl_ms: Math.round((options.for ?? DEFAULT_S) * 1000), reason: options.reason };
      const lease = await cli.client.instances.lease(name, request);
      cli.answer(lease, () => lease.lease_id);
    });
};

function leaseTime(text: string): number {
  const seconds = finiteDuration(text);
  if (seconds >= 0.1 && seconds * 1000 <= MAX_LEASE_MS) return seconds;
  throw new InvalidArgumentError("a lease lasts from 0.1s to 24h: take another one before it ends");
}
