import { createHash } from "node:crypto";
import { join } from "node:path";
import { parseIpv4 } from "@aegis/protocol/ipv4";

export type Accelerator = "kvm" | "tcg";

/**
 * Descriptors that QEMU inherits: listening sockets of the boot's folder, the state of a machine's devices, and the disk twice;
 * and one that only the program has that fills its memory.
 */
export const INHERITED = {
  harness: 3,
  agent: 4,
  monitor: 5,
  devices: 6,
  diskToWrite: 7,
  diskToRead: 8,
  filler: 9,
} as const;

/** The guest's memory, below the folder that QEMU is started in. */
export const MEMORY_FILE = "memory/ram";

/** For the guest's kernel, the runtime, the scripts and what they read. */
const GUEST_OVERHEAD_MB = 96;
/** For QEMU itself: its code, its devices, and what it translates without hardware help. */
export const QEMU_OVERHEAD_MB = 384;

/** of a range that no system gives to users, services or containers */
const FIRST_USER = 0x7000_0000;
const USER_BITS = 0x0fff_ffff;

/**
 * A user for each machine of the host, whatever home it is of: as unique as its address, of which the private networks
 * leave these bits different. None of them owns anything else, so no QEMU can signal, trace or read another.
 */
export const qemuUser = (address: string): number => FIRST_USER + ((parseIpv4(address) ?? 0) & USER_BITS);

export interface QemuSetup {
  program: string;
  accelerator: Accelerator;
  /** folder with the kernel and the harness's disk */
  vmDir: string;
  /** of one that boots; null for one that waits for a machine's memory, in which its kernel is */
  initramfs: string | null;
  image: string;
  memoryMb: number;
  vcpus: number;
  interfaceName: string;
  user: number;
  /** socket of virtiofsd, or null */
  workspaceSocket: string | null;
}

/** Names the hardware that a guest sees: in another machine its memory means nothing. */
export const hardwareOf = (accelerator: Accelerator): string => {
  const nowhere = {
    program: "",
    vmDir: "",
    initramfs: null,
    image: "",
    interfaceName: "",
    user: 0,
    workspaceSocket: null,
  };
  const words = qemuCommand({ ...nowhere, accelerator, memoryMb: 0, vcpus: 1 });
  return createHash("sha256").update(JSON.stringify(words)).digest("hex").slice(0, 16);
};

/** all that the guest has */
export const guestMemoryMb = (memoryMb: number): number => memoryMb + GUEST_OVERHEAD_MB;

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

/** What the machine would have besides, and no guest of ours needs: it takes time to be made, and can be attacked. */
const LACKING = "sata=off,smbus=off,i8042=off,vmport=off";
/**
 * All that can be emulated, but for what is slow so: strings are copied byte by byte where a processor claims to do that fast,
 * and a fifth level of page tables makes every look-up longer.
 */
const EMULATED = "max,erms=off,la57=off";

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

const kernel = (vmDir: string, initramfs: string): Option[] => [
  ["-kernel", join(vmDir, "vmlinuz")],
  ["-initrd", initramfs],
  ["-append", KERNEL_WORDS.join(" ")],
];

/** Words that start a virtual machine that stands still until it is told to go. Nothing of the instance's is in them. */
export function qemuCommand(setup: QemuSetup): string[] {
  const memory = guestMemoryMb(setup.memoryMb);
  const options: Option[] = [
    ["-nodefaults"],
    ["-no-user-config"],
    ["-display", "none"],
    ["-no-reboot"],
    ["-S"],
    ["-machine", `q35,accel=${setup.accelerator},memory-backend=memory,${LACKING}`],
    ["-cpu", setup.accelerator === "kvm" ? "host" : EMULATED],
    ["-smp", String(Math.max(1, Math.ceil(setup.vcpus)))],
    ["-m", `${memory}M`],
    // a file, so that it can be filled while QEMU starts, and read when QEMU has written down the rest
    ["-object", `memory-backend-file,id=memory,size=${memory}M,mem-path=${MEMORY_FILE},share=on`],
    ...(setup.initramfs === null ? [] : kernel(setup.vmDir, setup.initramfs)),
    // by descriptor, since QEMU opens it again, for reading alone, when its memory is written down: by then as nobody
    ["-add-fd", `fd=${INHERITED.diskToWrite},set=1`],
    ["-add-fd", `fd=${INHERITED.diskToRead},set=1`],
    ...disk("image", setup.image, "readonly=on"),
    ...disk("harness", join(setup.vmDir, "harness.erofs"), "readonly=on"),
    // without locks, which its two descriptors would take from each other when it goes on after its memory was written; and
    // when the host's disk is full the guest is told, where QEMU would have the machine stand still, unasked and unseen
    ...disk("disk", "/dev/fdset/1", "discard=unmap,detect-zeroes=unmap,file.locking=off,werror=report"),
    ["-netdev", `tap,id=net,ifname=${setup.interfaceName},script=no,downscript=no`],
    ["-device", "virtio-net-pci,netdev=net,romfile="],
    ["-device", "virtio-serial-pci"],
    ...port("harness", 1, INHERITED.harness),
    ...port("agent", 2, INHERITED.agent),
    ["-device", "virtio-balloon-pci,free-page-reporting=on"],
    ...(setup.workspaceSocket === null ? [] : workspace(setup.workspaceSocket)),
    ["-chardev", `socket,id=monitor,fd=${INHERITED.monitor},server=on,wait=off`],
    ["-mon", "chardev=monitor,mode=control"],
    ...(setup.initramfs === null ? [["-incoming", "defer"] as const] : []),
    ["-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny"],
    ["-runas", `${setup.user}:${setup.user}`],
  ];
  return [setup.program, ...options.flat().filter((word) => word !== undefined)];
}
