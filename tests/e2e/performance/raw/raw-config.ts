import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { CgroupLayout } from "../../../../packages/daemon/src/drivers/linux/cgroup-layout.ts";
import { ociConfig } from "../../../../packages/daemon/src/drivers/linux/oci-config.ts";
import type { RawSetup } from "./raw-calls.ts";

export interface RawConfigInput {
  setup: RawSetup;
  folder: string;
  name: string;
  cgroup: string;
  layout: CgroupLayout;
  command: string[];
}

/** The config that Aegis would write, but for the program: init runs the workload itself, there is no harness. */
export function rawConfig({ setup, folder, name, cgroup, layout, command }: RawConfigInput): object {
  const config = ociConfig({
    hostname: name,
    rootfs: join(folder, "rootfs"),
    user: { uid: 0, gid: 0, groups: [] },
    memoryMb: setup.memoryMb,
    limitMemory: layout.v1.has("memory") || layout.v2Controllers.includes("memory"),
    limitSwap: false,
    vcpus: 1,
    readOnlyRoot: false,
    cgroupsPath: cgroup,
    harnessDir: setup.harnessDir,
    loader: loaderIn(setup.harnessDir),
    filesDir: folder,
    hostHasIpv6: existsSync("/proc/sys/net/ipv6"),
    workspace: null,
  });
  if (!("process" in config) || typeof config.process !== "object") throw new Error("a config without a process");
  return { ...config, process: { ...config.process, args: ["/.aegis/tini", "--", ...command] } };
}

function loaderIn(harnessDir: string): string {
  const loader = readdirSync(join(harnessDir, "lib")).find((name) => name.startsWith("ld-"));
  if (loader === undefined) throw new Error(`the harness in ${harnessDir} is not complete`);
  return loader;
}
