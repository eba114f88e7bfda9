import { exists, memoryLimits, type CgroupLayout, type MemoryLimits } from "../linux/cgroup-layout.ts";
import type { PreparedHome } from "../linux/prepare-home.ts";
import { findRuntime, type OciRuntime, type RuntimeName } from "./oci-runtime.ts";

export interface PreparedHost {
  runtime: OciRuntime;
  layout: CgroupLayout;
  limits: MemoryLimits;
  /** file name of the dynamic loader in the harness's `lib/` */
  loader: string;
  hasIpv6: boolean;
}

/** Finds out what the host has for containers. @throws AegisError `driver_failed` that says what is missing */
export async function prepareHost(home: PreparedHome, wish: "auto" | RuntimeName): Promise<PreparedHost> {
  const { layout, loader, v2Group } = home;
  const runtime = await findRuntime(wish);
  const hasIpv6 = await exists("/proc/sys/net/ipv6");
  return { runtime, layout, loader, hasIpv6, limits: await memoryLimits(layout, v2Group) };
}
