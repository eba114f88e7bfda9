import type { ProcessUser } from "../linux/image-user.ts";
import { ociConfig } from "../linux/oci-config.ts";
import type { MachineSpec } from "../../core/driver.ts";
import { cpioArchive } from "./cpio.ts";

/** Where things are in the virtual machine; its scripts (packages/guest/vm) say the same. */
const ROOTFS = "/bundle/rootfs";
const HARNESS = "/aegis/guest";
const FILES = "/vm/files";
const GROUP = "/instance/run";

export interface GuestSetup {
  spec: Pick<MachineSpec, "hostname" | "memoryMb" | "vcpus" | "readOnlyRoot" | "workspace">;
  user: ProcessUser;
  loader: string;
  /** null for one that gets it later */
  network: { address: string; gateway: string } | null;
}

/** What one boot finds in its initramfs, behind what is the same for all. */
export function guestFiles({ spec, user, loader, network }: GuestSetup): Buffer {
  const config = ociConfig({
    hostname: spec.hostname,
    rootfs: ROOTFS,
    user,
    memoryMb: spec.memoryMb,
    limitMemory: true,
    limitSwap: false,
    vcpus: spec.vcpus,
    readOnlyRoot: spec.readOnlyRoot,
    cgroupsPath: GROUP,
    harnessDir: HARNESS,
    loader,
    filesDir: FILES,
    hostHasIpv6: true,
    workspace: spec.workspace === null ? null : { source: "/workspace", options: [] },
  });
  const hooks = { poststart: [{ path: "/bin/sh", args: ["sh", "/vm/started.sh"] }] };
  return cpioArchive(["vm", "vm/files"], {
    "vm/config.json": JSON.stringify({ ...config, hooks }),
    "vm/settings": settings({
      HOSTNAME: spec.hostname,
      NETWORK: network === null ? "" : `${network.address} ${network.gateway}`,
      WORKSPACE: spec.workspace === null ? "no" : "yes",
    }),
    // filled by the guest's agent, which knows its names and addresses
    "vm/files/resolv.conf": "",
    "vm/files/hosts": "",
    "vm/files/hostname": "",
  });
}

/** For the shell; none of the values has a quote in it. */
const settings = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}='${value}'\n`)
    .join("");
