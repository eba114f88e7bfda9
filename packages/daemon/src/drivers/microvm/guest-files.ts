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
  spec: MachineSpec;
  user: ProcessUser;
  loader: string;
  address: string;
  gateway: string;
}

/** What one boot finds in its initramfs, behind what is the same for all. */
export function guestFiles({ spec, user, loader, address, gateway }: GuestSetup): Buffer {
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
  const hosts = `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${address}\t${spec.hostname}\n`;
  return cpioArchive(["vm", "vm/files"], {
    "vm/config.json": JSON.stringify({ ...config, hooks }),
    "vm/settings": `ADDRESS=${address}\nGATEWAY=${gateway}\nWORKSPACE=${spec.workspace === null ? "no" : "yes"}\n`,
    "vm/files/resolv.conf": `nameserver ${gateway}\n`,
    "vm/files/hosts": hosts,
    "vm/files/hostname": `${spec.hostname}\n`,
  });
}
