import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseCgroupMounts } from "../../../src/drivers/linux/cgroup-layout.ts";
import { parseResolvConf } from "../../../src/drivers/linux/dns/upstream-resolvers.ts";
import { imageUser } from "../../../src/drivers/linux/image-user.ts";
import { driverOfLeft, readMachineRecord, writeMachineRecord } from "../../../src/drivers/linux/machine-record.ts";
import { ociConfig, type OciConfigInput } from "../../../src/drivers/linux/oci-config.ts";
import { hostBootId, identifyProcess, isAlive } from "../../../src/drivers/linux/process-identity.ts";
import { seccompProfile } from "../../../src/drivers/linux/seccomp-profile.ts";
import { allowedSyscalls, refusedSyscalls } from "../../../src/drivers/linux/syscalls.ts";
import { workspaceOptions } from "../../../src/drivers/container/workspace-mount.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aegis-boot-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("user of an image", () => {
  beforeEach(() => {
    mkdirSync(join(folder, "etc"));
    writeFileSync(join(folder, "etc/passwd"), "root:x:0:0::/:\nnode:x:1000:1001::/:\nbroken\nbig:x:70000:1::/:\n");
    writeFileSync(join(folder, "etc/group"), "root:x:0:\nstaff:x:50:node,other\nnode:x:1001:node\n");
  });

  it("is root when nothing is said", async () => {
    for (const user of ["", "0", "root", "0:0"])
      expect(await imageUser(folder, user), user).toEqual({ uid: 0, gid: 0, groups: [] });
  });

  it("is looked up in the image's own files", async () => {
    expect(await imageUser(folder, "node")).toEqual({ uid: 1000, gid: 1001, groups: [50] });
    expect(await imageUser(folder, "1000")).toEqual({ uid: 1000, gid: 1001, groups: [50] });
    expect(await imageUser(folder, "4000")).toEqual({ uid: 4000, gid: 0, groups: [] });
    expect(await imageUser(folder, "node:staff")).toEqual({ uid: 1000, gid: 50, groups: [] });
    expect(await imageUser(folder, "7:8")).toEqual({ uid: 7, gid: 8, groups: [] });
  });

  it("is refused when unknown or out of range", async () => {
    for (const user of ["nobody", "node:nobody", "70000", "1:70000", "big", "-1"])
      await expect(imageUser(folder, user), user).rejects.toMatchObject({ code: "image_invalid" });
  });

  it("is found through links inside the image, never outside", async () => {
    const image = join(folder, "image");
    mkdirSync(join(image, "etc"), { recursive: true });
    mkdirSync(join(image, "usr"));
    writeFileSync(join(image, "usr/passwd"), "in:x:5:5::/:\n");
    symlinkSync("/../../usr/passwd", join(image, "etc/passwd"));
    expect(await imageUser(image, "in")).toMatchObject({ uid: 5 });
    rmSync(join(image, "etc/passwd"));
    for (const target of [join(folder, "etc/passwd"), "../../etc/passwd", "passwd"]) {
      symlinkSync(target, join(image, "etc/passwd"));
      await expect(imageUser(image, "node"), target).rejects.toMatchObject({ code: "image_invalid" });
      rmSync(join(image, "etc/passwd"));
    }
  });
});

describe("OCI config", () => {
  const input: OciConfigInput = {
    hostname: "box",
    rootfs: "/r",
    user: { uid: 3, gid: 4, groups: [5] },
    memoryMb: 64,
    limitMemory: true,
    limitSwap: true,
    vcpus: 0.5,
    readOnlyRoot: true,
    cgroupsPath: "/aegis/k/i",
    harnessDir: "/h",
    loader: "ld.so",
    filesDir: "/f",
    hostHasIpv6: true,
    workspace: null,
  };
  interface Config {
    mounts: { destination: string; options: string[] }[];
    process: { args: string[]; noNewPrivileges: boolean; capabilities: Record<string, string[]>; rlimits?: unknown };
    linux: { resources: { memory?: object; cpu: object }; sysctl: object; namespaces: { type: string }[] };
  }
  const config = (over: Partial<OciConfigInput> = {}): Config => ociConfig({ ...input, ...over }) as Config;

  it("drops everything and raises nothing", () => {
    const { process, linux } = config();
    expect(process.noNewPrivileges).toBe(true);
    expect(Object.values(process.capabilities).flat()).toEqual([]);
    expect(process.rlimits).toBeUndefined();
    expect(linux.namespaces.map(({ type }) => type).toSorted()).toEqual([
      "cgroup",
      "ipc",
      "mount",
      "network",
      "pid",
      "user",
      "uts",
    ]);
  });

  it("mounts nothing that can carry a set-id program or a device", () => {
    for (const { destination, options } of config({ workspace: { source: "/w", options: ["idmap"] } }).mounts)
      expect(options, destination).toContain("nosuid");
  });

  it("limits what the host can limit", () => {
    expect(config().linux.resources).toMatchObject({
      memory: { limit: 2 ** 26, swap: 2 ** 26 },
      cpu: { quota: 50_000 },
    });
    expect(config({ limitSwap: false }).linux.resources.memory).toEqual({ limit: 2 ** 26 });
    expect(config({ limitMemory: false }).linux.resources.memory).toBeUndefined();
    expect(config({ hostHasIpv6: false }).linux.sysctl).not.toHaveProperty(["net.ipv6.conf.default.disable_ipv6"]);
  });

  it("leaves half of the memory to processes", () => {
    const sizes = config().mounts.map(({ options }) => Number(/size=(\d+)m/.exec(options.join())?.[1] ?? 0));
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(64 * 0.75);
  });
});

describe("seccomp profile", () => {
  it("lists no call twice", () => {
    const all = [...allowedSyscalls, ...refusedSyscalls];
    expect(all.filter((name, index) => all.indexOf(name) !== index)).toEqual([]);
  });

  it("allows none of the calls that escapes are made of", () => {
    const dangerous = `mount umount umount2 pivot_root setns unshare clone3 ptrace process_vm_readv process_vm_writev bpf keyctl
      add_key request_key io_uring_setup perf_event_open userfaultfd kexec_load init_module finit_module delete_module
      open_by_handle_at move_mount fsopen swapon reboot quotactl acct settimeofday socket clone personality pidfd_getfd`;
    for (const name of dangerous.split(/\s+/)) expect(allowedSyscalls).not.toContain(name);
  });

  it("lets clone make processes and threads, not namespaces", () => {
    const clone = seccompProfile().syscalls.find(({ names }) => names.includes("clone"));
    expect(clone?.args).toEqual([{ index: 0, value: 0x7e020000, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }]);
  });
});

describe("workspace mount", () => {
  const crun = { name: "crun", mapsMounts: true, refusesHybridCgroups: true } as const;

  it("maps the instance's user to the owner, all others to the instances' range", () => {
    const root = { uid: 0, gid: 0, groups: [] };
    expect(workspaceOptions(crun, { uid: 501, gid: 20 }, root)).toEqual([
      "idmap=uids=501-1000000-1#1000001-1000001-65535;gids=20-1000000-1#1000001-1000001-65535",
    ]);
    const [options] = workspaceOptions(crun, { uid: 0, gid: 0 }, { uid: 1000, gid: 65_535, groups: [] });
    expect(options).toBe(
      "idmap=uids=0-1001000-1#1000000-1000000-1000#1001001-1001001-64535;gids=0-1065535-1#1000000-1000000-65535",
    );
  });
});

describe("machine record", () => {
  const record = { version: 1 as const, instanceId: "i", boot: 2, pid: 77, startTime: "5", hostBootId: "b", slot: 0 };

  it("comes back as it was written", async () => {
    await writeMachineRecord(folder, record);
    expect(await readMachineRecord(folder)).toEqual(record);
  });

  it("is nothing when absent, cut or foreign", async () => {
    expect(await readMachineRecord(folder)).toBeNull();
    for (const text of ["{", "[]", JSON.stringify({ ...record, pid: 1 }), JSON.stringify({ ...record, version: 2 })]) {
      writeFileSync(join(folder, "machine.json"), text);
      expect(await readMachineRecord(folder), text).toBeNull();
    }
  });
});

describe("the driver of what an earlier daemon left", () => {
  async function leave(name: string, over: object): Promise<void> {
    const identity = await identifyProcess(process.pid);
    if (identity === null) throw new Error("this process was not found");
    mkdirSync(join(folder, name));
    const alive = {
      version: 1 as const,
      instanceId: name,
      boot: 1,
      slot: 0,
      ...identity,
      hostBootId: await hostBootId(),
    };
    await writeMachineRecord(join(folder, name), { ...alive, ...over });
  }

  it("is that of a machine that still runs", async () => {
    await leave("inst-1", { driver: "microvm" });
    expect(await driverOfLeft(folder)).toBe("microvm");
  });

  it("is containers where an older daemon did not say", async () => {
    await leave("inst-1", {});
    expect(await driverOfLeft(folder)).toBe("container");
  });

  it("is none where nothing runs any more, or nothing was", async () => {
    expect(await driverOfLeft(join(folder, "nothing"))).toBeNull();
    await leave("inst-1", { driver: "microvm", startTime: "1" });
    await leave("inst-2", { driver: "microvm", hostBootId: "another" });
    expect(await driverOfLeft(folder)).toBeNull();
  });
});

describe("process identity", () => {
  it("knows a process from a later one with its pid", async () => {
    const identity = await identifyProcess(process.pid);
    if (identity === null) throw new Error("this process was not found");
    expect(await isAlive(identity)).toBe(true);
    expect(await isAlive({ ...identity, startTime: "1" })).toBe(false);
    expect(await identifyProcess(2 ** 22 + 1)).toBeNull();
  });
});

describe("what the host tells", () => {
  it("has control groups of both kinds", () => {
    const mountinfo = [
      "31 23 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw",
      "32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
      "33 23 0:29 / /odd\\040name rw - cgroup cgroup rw,xattr,name=systemd",
      "34 23 0:30 / /sys rw - sysfs sysfs rw",
    ].join("\n");
    const { v1, v2 } = parseCgroupMounts(mountinfo);
    expect(v2).toBe("/sys/fs/cgroup/unified");
    expect(Object.fromEntries(v1)).toEqual({
      cpu: "/sys/fs/cgroup/cpu,cpuacct",
      cpuacct: "/sys/fs/cgroup/cpu,cpuacct",
      "name=systemd": "/odd name",
    });
  });

  it("has name servers of either family, at most three", () => {
    const text =
      "search x\n# nameserver 9.9.9.9\nnameserver 127.0.0.53\n nameserver fe80::1%eth0\nnameserver nonsense\nnameserver 1.1.1.1\nnameserver 8.8.8.8\n";
    expect(parseResolvConf(text)).toEqual(["127.0.0.53", "fe80::1%eth0", "1.1.1.1"]);
  });
});
