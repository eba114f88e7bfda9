import { chmod, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { DriverName } from "@aegis/protocol/instance";
import { detectCgroupLayout, type CgroupLayout } from "./cgroup-layout.ts";

export interface HomePlan {
  driver: DriverName;
  runFolder: string;
  /** path of the home's control group below each hierarchy */
  groupPath: string;
  harnessDir: string;
}

export interface PreparedHome {
  layout: CgroupLayout;
  /** the home's group in v2, null where there is none */
  v2Group: string | null;
  /** file name of the dynamic loader in the harness's `lib/` */
  loader: string;
}

/** Makes the folders and the control group that all boots of a home share. @throws AegisError `driver_failed` that says what is missing */
export async function prepareHome({ driver, runFolder, groupPath, harnessDir }: HomePlan): Promise<PreparedHome> {
  if (process.getuid?.() !== 0)
    throw new AegisError(
      "driver_failed",
      `The ${driver} driver needs root, to mount and to make networks. Start the daemon through sudo.`,
    );
  const loader = await findLoader(harnessDir);
  // Instances map to ids of their own: they must be able to pass through, and nobody may list.
  await mkdir(runFolder, { recursive: true });
  for (const folder of [dirname(runFolder), runFolder]) await chmod(folder, 0o711);
  const layout = await detectCgroupLayout();
  return { layout, loader, v2Group: await prepareV2(layout, groupPath) };
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
