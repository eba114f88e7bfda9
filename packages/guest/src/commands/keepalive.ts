import { finiteDuration } from "@aegis/cli/options/duration";
import type { GuestRegister } from "./guest-program.ts";

const DEFAULT_S = 600;

interface KeepaliveOptions {
  for?: number;
  reason: string;
  release?: string | true;
}

export const register: GuestRegister = (command, cli, self) => {
  command
    .option("--for <time>", "for so long at most, as in 90s or 2h, up to 24h (default 10m)", finiteDuration)
    .option("--reason <text>", "why, for those who look", "working")
    .option("--release [id]", "give one back instead; the newest without an id")
    .action(async (options: KeepaliveOptions) => {
      if (options.release !== undefined) {
        await self.release(options.release === true ? undefined : options.release);
        return cli.answer({ done: "release" }, () => "released");
      }
      const ttl_ms = Math.round((options.for ?? DEFAULT_S) * 1000);
      const lease = await self.keepalive({ ttl_ms, reason: options.reason });
      cli.answer(lease, () => lease.lease_id);
    });
};
