import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Driver, Machine } from "../../../packages/daemon/src/core/driver.ts";
import { execIn } from "../../../packages/daemon/test/drivers/harness-streams.ts";
import { DriverHost } from "../driver-host.ts";

/** What the program in attack.c knows, each a system call that root of an instance has no business with. */
const CALLS = [
  "ptrace",
  "mount",
  "new mount api",
  "open_tree",
  "move_mount",
  "mount_setattr",
  "pivot_root",
  "chroot",
  "unshare user",
  "unshare net",
  "unshare mount",
  "unshare cgroup",
  "unshare pid",
  "clone user",
  "clone3 user",
  "setns",
  "packet socket",
  "raw socket",
  "raw socket v6",
  "packet datagram socket",
  "old packet socket",
  "raw socket of any protocol",
  "raw socket v6 of any protocol",
  "xdp socket",
  "can socket",
  "tipc socket",
  "bluetooth socket",
  "spoof by transparent socket",
  "spoof by own header",
  "spoof by bound address",
  "spoof by control message",
  "vsock",
  "alg socket",
  "bpf",
  "perf",
  "userfaultfd",
  "io_uring",
  "keyctl",
  "add_key",
  "request_key",
  "init_module",
  "finit_module",
  "kexec",
  "swapon",
  "acct",
  "syslog",
  "sethostname",
  "settimeofday",
  "open_by_handle_at",
  "process_vm_readv",
  "process_vm_writev",
  "pidfd_getfd",
  "kcmp",
  "mbind",
  "quotactl",
  "fanotify",
  "iopl",
  "vhangup",
  "personality",
  "setuid 1",
  "TIOCSTI",
  "reboot",
];
const NO = /denied|permitted|read-only|nonexistent|no such|invalid|refused|not implemented/i;

let host: DriverHost;
let driver: Driver;
let box: Machine;

beforeAll(async () => {
  host = new DriverHost();
  const attack = join(host.home, "attack");
  execFileSync("cc", ["-static", "-O1", "-w", "-o", attack, fileURLToPath(new URL("attack.c", import.meta.url))]);
  copyFileSync(attack, join(host.rootfs, "bin/attack"));
  chmodSync(join(host.rootfs, "bin/attack"), 0o755);
  driver = host.driver();
  await driver.start();
  box = await driver.create(host.spec());
});

afterAll(async () => {
  await box.kill();
  await box.remove();
  await driver.close();
  expect(host.remove()).toEqual([]);
});

async function sh(script: string): Promise<string> {
  const { stdout, stderr } = await execIn(box, ["sh", "-c", script]);
  return (stdout + stderr).trim();
}

describe("root of an instance", () => {
  it.each(CALLS)("may not: %s", async (name) => {
    const { stdout } = await execIn(box, ["attack", name]);
    expect(stdout).toMatch(
      /refused E(PERM|NOSYS|ACCES|INVAL|AFNOSUPPORT|SOCKTNOSUPPORT|PROTONOSUPPORT|NOPROTOOPT|NETUNREACH|IO)\n$/,
    );
  });

  it("finds nothing in the harness's or init's memory, environment or descriptors", async () => {
    const harness = "$PPID";
    expect(await sh(`tr "\\0" " " < /proc/${harness}/cmdline`)).toMatch(/aegis-guest harness/);
    for (const what of [
      "cat /proc/P/environ",
      "head -c 1 /proc/P/mem",
      "ls -l /proc/P/fd/",
      "cat /proc/P/maps",
      "ls /proc/P/root/",
      "ls /proc/P/cwd/",
      "cat /proc/P/stack",
    ])
      expect(await sh(what.replace("/P/", `/${harness}/`)), what).toMatch(NO);
    for (const pid of [harness, "1"]) expect(await sh(`echo -1000 > /proc/${pid}/oom_score_adj`)).toMatch(NO);
  });

  it("cannot write where the kernel listens", async () => {
    for (const file of [
      "/proc/sysrq-trigger",
      "/proc/sys/kernel/core_pattern",
      "/proc/sys/kernel/modprobe",
      "/proc/sys/kernel/hotplug",
      "/proc/sys/vm/drop_caches",
      "/proc/sys/fs/binfmt_misc/register",
      "/proc/sys/kernel/yama/ptrace_scope",
      "/proc/sys/net/ipv4/conf/eth0/proxy_arp",
      "/proc/sys/net/ipv6/conf/all/disable_ipv6",
      "/sys/kernel/uevent_helper",
      "/sys/kernel/mm/ksm/run",
      "/sys/fs/cgroup/release_agent",
      "/sys/fs/cgroup/cgroup.procs",
      "/proc/self/uid_map",
      "/proc/self/attr/exec",
    ])
      expect(await sh(`echo 1 > ${file}`), file).toMatch(NO);
    expect(await sh("head -1 /proc/kallsyms; grep -c '^[0-9a-f]*[1-9a-f][0-9a-f]* ' /proc/kallsyms")).toMatch(
      /^(0{8,} .*\n)?0$|denied/,
    );
  });

  it("can make no device, and no cgroup or other mount", async () => {
    for (const attempt of [
      "mknod /tmp/m c 1 1",
      "mknod /tmp/k c 1 11",
      "mknod /tmp/l b 7 0",
      "mknod /dev/x c 10 237",
      "mount -t cgroup -o memory none /tmp",
      "mount -t cgroup -o rdma none /tmp",
      "mount -t cgroup -o none,name=x none /tmp",
      "mount -t cgroup2 none /tmp",
      "mount -t sysfs none /tmp",
      "mount -t debugfs none /tmp",
      "mount --bind / /tmp",
      "mount -o remount,rw /sys",
      "umount /sys/fs/cgroup",
    ])
      expect(await sh(attempt), attempt).toMatch(NO);
  });

  it("cannot change its addresses, its routes, its neighbours or its interface", async () => {
    for (const attempt of [
      "ip addr add 10.209.0.77/32 dev eth0",
      "ip link set eth0 address 02:00:00:00:00:01",
      "ip route replace default dev eth0",
      "ip neigh add 10.209.0.1 lladdr 02:00:00:00:00:02 dev eth0",
      "ip link add v0 type veth",
      "ip -6 addr add fe80::5/64 dev eth0",
      "arping -c 1 -I eth0 10.209.0.1",
      "arp -s 10.209.0.1 02:00:00:00:00:02",
    ])
      expect(await sh(attempt), attempt).toMatch(NO);
  });

  it("finds the harness's folder closed, and what it puts in place of the Guest API's socket is its own affair", async () => {
    for (const attempt of [
      "echo x > /.aegis/x",
      "rm /.aegis/aegis-guest",
      "mv /.aegis /old",
      "ln -sf /bin/sh /.aegis/tini",
    ])
      expect(await sh(attempt), attempt).toMatch(/read-only|busy|denied|permitted|exists/i);
    await sh("rm -rf /run/aegis/*; ln -s /etc /run/aegis/guestd.sock");
    expect(await sh("echo fine")).toBe("fine");
  });
});
