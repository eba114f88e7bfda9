import { chmod, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import {
  detectCgroupLayout,
  exists,
  memoryLimits,
  type CgroupLayout,
  type MemoryLimits,
} from "../linux/cgroup-layout.ts";
import { findRuntime, type OciRuntime, type RuntimeName } from "./oci-runtime.ts";

export interface PreparedHost {
  runtime: OciRuntime;
  layout: CgroupLayout;
  limits: MemoryLimits;
  /** file name of the dynamic loader in the harness's `lib/` */
  loader: string;
  hasIpv6: boolean;
}

export interface HostWishes {
  runFolder: string;
  /** path of the home's control group below each hierarchy */
  groupPath: string;
  harnessDir: string;
  runtime: "auto" | RuntimeName;
}

/** Finds out what the host has and makes the folders. @throws AegisError `driver_failed` that says what is missing */
export async function prepareHost(wishes: HostWishes): Promise<PreparedHost> {
  if (process.getuid?.() !== 0)
    throw new AegisError(
      "driver_failed",
      "The container driver needs root, to mount and to make networks. Start the daemon through sudo.",
    );
  const loader = await findLoader(wishes.harnessDir);
  const runtime = await findRuntime(wishes.runtime);
  // Instances map to ids of their own: they must be able to pass through, and nobody may list.
  await mkdir(wishes.runFolder, { recursive: true });
  for (const folder of [dirname(wishes.runFolder), wishes.runFolder]) await chmod(folder, 0o711);
  const layout = await detectCgroupLayout();
  const group = await prepareV2(layout, wishes.groupPath);
  const hasIpv6 = await exists("/proc/sys/net/ipv6");
  return { runtime, layout, loader, hasIpv6, limits: await memoryLimits(layout, group) };
}

async function findLoader(harnessDir: string): Promise<string> {
  const names = await readdir(join(harnessDir, "lib")).catch(() => []);
  const loader = names.find((name) => /^ld-.*\.so/.test(name));
  const complete = await Promise.all(["aegis-guest", "tini"].map((name) => stat(join(harnessDir, name)))).then(
    () => true,
    () => false,
  );
  if (loader === undefined || !complete)
    throw new AegisError(
      "driver_failed",
      `The harness in ${harnessDir} is not complete. Build it again: npm start does.`,
    );
  return loader;
}

/** Makes the home's v2 group and hands the controllers down to it, where v2 has any. */
async function prepareV2(layout: CgroupLayout, groupPath: string): Promise<string | null> {
  if (layout.v2 === null) return null;
  const group = join(layout.v2, groupPath);
  await mkdir(group, { recursive: true });
  const wanted = ["cpu", "memory", "pids"].filter((name) => layout.v2Controllers.includes(name));
  if (wanted.length > 0)
    for (const folder of [layout.v2, dirname(group), group])
      await writeFile(join(folder, "cgroup.subtree_control"), wanted.map((name) => `+${name}`).join(" "));
  return group;
}
