import type { BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { measurePowerDaemon } from "./measure-power-daemon.ts";
import { measurePowerReclaim } from "./measure-power-reclaim.ts";
import { measurePowerWake } from "./measure-power-wake.ts";

/** What sleeping costs: an instance, those who wake it, and the daemon that watches. */
export async function measurePower(host: BenchHost): Promise<Figure[]> {
  return [...(await measurePowerWake(host)), ...(await measurePowerReclaim(host)), ...(await measurePowerDaemon(host))];
}
