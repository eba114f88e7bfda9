import { join } from "node:path";
import { ID_COUNT, FIRST_HOST_ID } from "../linux/oci-config.ts";

export type Accelerator = "kvm" | "tcg";

/** Descriptors that QEMU inherits: listening sockets of the boot's folder, a machine's memory, and the disk twice. */
export const INHERITED = { harness: 3, agent: 4, monitor: 5, memory: 6, diskToWrite: 7, diskToRead: 8 } as const;

/** For the guest's kernel, the runtime, the scripts and what they read. */
export const GUEST_OVERHEAD_MB = 96;
/** For QEMU itself: its code, its devices, and what it translates without hardware help. */
export const QEMU_OVERHEAD_MB = 384;

/** Behind the range that instances map to, a user for each slot of a home: none of them owns anything else. */
export const qemuUser = (slot: number): number => FIRST_HOST_ID + ID_COUNT + slot;

export interface QemuSetup {
  program: string;
  accelerator: Accelerator;
  /** folder with kernel, initramfs and the harness's disk */
  vmDir: string;
  bootFolder: string;
  image: string;
  memoryMb: number;
  vcpus: number;
  interfaceName: string;
  user: number;
  /** socket of virtiofsd, or null */
  workspaceSocket: string | null;
  /** it waits for a machine's memory instead of booting */
  takesUp: boolean;
}

/** Under emulation much of a boot is waiting for clocks and mitigations that are of no use there. */
const KERNEL_WORDS = [
  "quiet",
  "panic=-1",
  "mitigations=off",
  "random.trust_cpu=on",
  "tsc=reliable",
  "no_timer_check",
  "noreplace-smp",
  "nokaslr",
];

type Option = readonly [name: string, value?: string];

const disk = (id: string, file: string, options: string): Option[] => [
  ["-drive", `file=${file.replaceAll(",", ",,")},format=raw,if=none,id=${id},${options}`],
  ["-device", `virtio-blk-pci,drive=${id}`],
];

const port = (id: string, nr: number, fd: number): Option[] => [
  ["-chardev", `socket,id=${id},fd=${fd},server=on,wait=off`],
  ["-device", `virtserialport,chardev=${id},nr=${nr},name=aegis.${id}`],
];

const workspace = (socket: string): Option[] => [
  ["-chardev", `socket,id=workspace,path=${socket}`],
  ["-device", "vhost-user-fs-pci,chardev=workspace,tag=workspace"],
];

/** Words that start a virtual machine that stands still until it is told to go. Nothing of the instance's is in them. */
export function qemuCommand(setup: QemuSetup): string[] {
  const memory = setup.memoryMb + GUEST_OVERHEAD_MB;
  const options: Option[] = [
    ["-nodefaults"],
    ["-no-user-config"],
    ["-display", "none"],
    ["-no-reboot"],
    ["-S"],
    ["-machine", `q35,accel=${setup.accelerator},memory-backend=memory`],
    ["-cpu", setup.accelerator === "kvm" ? "host" : "max"],
    ["-smp", String(Math.max(1, Math.ceil(setup.vcpus)))],
    ["-m", `${memory}M`],
    ["-object", `memory-backend-memfd,id=memory,size=${memory}M,share=on`],
    ["-kernel", join(setup.vmDir, "vmlinuz")],
    ["-initrd", join(setup.bootFolder, "initramfs.cpio")],
    ["-append", KERNEL_WORDS.join(" ")],
    // by descriptor, since QEMU opens it again, for reading alone, when its memory is written down: by then as nobody
    ["-add-fd", `fd=${INHERITED.diskToWrite},set=1`],
    ["-add-fd", `fd=${INHERITED.diskToRead},set=1`],
    ...disk("image", setup.image, "readonly=on"),
    ...disk("harness", join(setup.vmDir, "harness.erofs"), "readonly=on"),
    ...disk("disk", "/dev/fdset/1", "discard=unmap,detect-zeroes=unmap"),
    ["-netdev", `tap,id=net,ifname=${setup.interfaceName},script=no,downscript=no`],
    ["-device", "virtio-net-pci,netdev=net,romfile="],
    ["-device", "virtio-serial-pci"],
    ...port("harness", 1, INHERITED.harness),
    ...port("agent", 2, INHERITED.agent),
    ["-device", "virtio-balloon-pci,free-page-reporting=on"],
    ...(setup.workspaceSocket === null ? [] : workspace(setup.workspaceSocket)),
    ["-chardev", `socket,id=monitor,fd=${INHERITED.monitor},server=on,wait=off`],
    ["-mon", "chardev=monitor,mode=control"],
    ...(setup.takesUp ? [["-incoming", "defer"] as const] : []),
    ["-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny"],
    ["-runas", `${setup.user}:${setup.user}`],
  ];
  return [setup.program, ...options.flat().filter((word) => word !== undefined)];
}
