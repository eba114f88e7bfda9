import type { BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { measurePowerDaemon } from "./measure-power-daemon.ts";
import { measurePowerReclaim } from "./measure-power-reclaim.ts";

/** What sleeping gives back, and what it costs the daemon that watches. */
export async function measurePower(host: BenchHost): Promise<Figure[]> {
  return [...(await measurePowerReclaim(host)), ...(await measurePowerDaemon(host))];
}
