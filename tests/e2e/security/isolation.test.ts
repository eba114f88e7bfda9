import { chownSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Driver, Machine, MachineSpec } from "../../../packages/daemon/src/core/driver.ts";
import { LiveMachines, sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { DriverHost, isMicrovm, notInVm } from "../driver-host.ts";
import { OutsideNetwork } from "../outside-network.ts";
import { TestResolver } from "../../../packages/daemon/test/drivers/container/test-resolver.ts";

/** What a program inside sees at once; a time-out would not say this. */
const REFUSED = /refused|unreachable|prohibited|no route/i;

const outside = new OutsideNetwork();
const resolver = new TestResolver("127.0.0.77", 53, { "outside.test": [outside.outside] });
let host: DriverHost;
let driver: Driver;
let box: Machine;
let gateway: string;
let web: Server;
const machines = new LiveMachines(() => driver);

beforeAll(async () => {
  host = new DriverHost();
  const resolvConf = join(host.home, "resolv.conf");
  writeFileSync(resolvConf, `nameserver ${resolver.address}\n`);
  driver = host.driver({ resolvConf });
  web = createServer((_, response) => response.end("host\n")).listen(0, "0.0.0.0");
  await Promise.all([resolver.start(), outside.start(), once(web, "listening")]);
  await driver.start();
  box = await boot();
  gateway = (await sh(box, "cat /etc/resolv.conf")).replace("nameserver ", "");
  host.remember();
});

afterAll(async () => {
  await machines.discardAll();
  await driver.close();
  web.close();
  await Promise.all([resolver.stop(), outside.stop()]);
  expect(host.remove()).toEqual([]);
});

function boot(over: Partial<MachineSpec> = {}): Promise<Machine> {
  return machines.boot(host.spec(over));
}

/** Of an instance's processes, one. */
function processOf(id: string): string {
  const groups = [`pids/aegis/${host.homeKey}`, `aegis/${host.homeKey}`].map(
    (group) => `/sys/fs/cgroup/${group}/${id}`,
  );
  const group = groups.find((folder) => existsSync(folder));
  const [pid = ""] = readFileSync(join(group ?? "", "cgroup.procs"), "utf8").split("\n");
  return pid;
}

const get = (url: string): Promise<string> => sh(box, `timeout 20 wget -qO- ${url}`);
const webPort = (): number => (web.address() as AddressInfo).port;

describe("the way out", () => {
  it("leads to the outside, through the host's address", async () => {
    expect(await get(`http://${outside.outside}:${outside.port}/`)).toBe("from outside");
  });

  it("finds names by the forwarder", async () => {
    expect(await get(`http://outside.test:${outside.port}/`)).toBe("from outside");
    const unknown = await sh(box, "nslookup -type=a nowhere.test");
    expect(unknown).toContain(`Server:\t\t${gateway}`);
    expect(unknown).not.toContain(outside.outside);
  });

  it("follows the host when it changes its name servers, and says when none answers", async () => {
    writeFileSync(join(host.home, "resolv.conf"), "nameserver 127.0.0.78\n");
    expect(await sh(box, "nslookup -type=a outside.test")).toMatch(/SERVFAIL|server failure|can't find|timed out/i);
    writeFileSync(join(host.home, "resolv.conf"), `# changed\nnameserver ${resolver.address}\n`);
    expect(await sh(box, "nslookup -type=a outside.test")).toContain(outside.outside);
  });
});

describe("what an instance cannot reach", () => {
  it("the host, by any of its addresses", async () => {
    const own = Object.values(networkInterfaces())
      .flat()
      .filter((entry) => entry?.family === "IPv4" && !entry.internal)
      .map((entry) => entry?.address);
    for (const address of [gateway, outside.hostInLan, ...own])
      expect(await get(`http://${address}:${webPort()}/`), String(address)).toMatch(REFUSED);
  });

  it("what listens on the host's loopback", async () => {
    expect(await get(`http://127.0.0.1:${webPort()}/`)).toMatch(REFUSED);
    expect(await get(`http://${resolver.address}:53/`)).toMatch(REFUSED);
  });

  it("the LAN, and public networks that the host is part of, joined later too", async () => {
    expect(await get(`http://${outside.inLan}:${outside.port}/`)).toMatch(REFUSED);
    outside.joinNeighbours();
    const later = await boot();
    expect(await sh(later, `timeout 20 wget -qO- http://${outside.neighbour}:${outside.port}/`)).toMatch(REFUSED);
    expect(await get(`http://${outside.neighbour}:${outside.port}/`)).toMatch(REFUSED);
    await machines.end(later);
  });

  it("the metadata address and other special ones", async () => {
    for (const address of ["169.254.169.254", "100.64.0.1", "172.16.0.1", "192.168.1.1", "198.18.0.1", "240.0.0.1"])
      expect(await get(`http://${address}/`), address).toMatch(REFUSED);
  });

  it("another instance", async () => {
    const other = await boot();
    await sh(other, "echo secret > /tmp/index.html; httpd -p 8080 -h /tmp");
    const address = (await sh(other, "ip -4 -o addr show dev eth0 | awk '{print $4}'")).replace("/32", "");
    expect(address).toMatch(/^10\./);
    expect(await sh(other, `wget -qO- http://${address}:8080/`)).toBe("secret");
    expect(await get(`http://${address}:8080/`)).toMatch(REFUSED);
    await machines.end(other);
  });

  it("anything over IPv6", async () => {
    expect(await sh(box, "ip -6 -o addr show dev eth0")).toBe("");
    for (const address of ["2001:db8::1", "fd00::2", "fe80::1%eth0"])
      expect(await get(`'http://[${address}]:${webPort()}/'`), address).toMatch(
        /refused|unreachable|assign|bad address|invalid/i,
      );
    expect(await sh(box, "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")).toMatch(/read-only|denied|permitted/i);
  });
});

describe("an address that is not the instance's", () => {
  beforeEach(notInVm("nobody outside of a virtual machine is in its network"));

  /** Runs in a network namespace what its owner would run if it had all rights there. */
  const within = (pid: string, ...command: string[]): string =>
    execFileSync("nsenter", [`--net=/proc/${pid}/ns/net`, ...command], { encoding: "utf8", stdio: "pipe" });
  const sender = (from: string, text: string): string[] => [
    process.execPath,
    "-e",
    `const s = require("dgram").createSocket("udp4"); s.bind(0, "${from}", () =>
       s.send("${text}", 9000, "${outside.outside}", () => s.close()))`,
  ];

  /** The host's end of an instance's network interface. */
  const interfaceOf = (pid: string): string => {
    const index = /eth0@if(\d+)/.exec(within(pid, "ip", "-o", "link", "show", "eth0"))?.[1];
    const links = execFileSync("ip", ["-o", "link"], { encoding: "utf8" });
    return new RegExp(`^${index}: ([^@:]+)`, "m").exec(links)?.[1] ?? "";
  };

  it.each(["1", "0"])(
    "never leaves the host, even if a hole let the instance take it (rp_filter %s)",
    async (filter) => {
      const listener = outside.spawn(
        process.execPath,
        "-e",
        `require("dgram").createSocket("udp4").on("message", (m) => console.log(String(m)))
         .bind(9000, "${outside.outside}", () => console.log("ready"))`,
      );
      const heard: string[] = [];
      const untilHeard = async (text: string): Promise<void> => {
        while (!heard.includes(text)) {
          const [chunk] = (await once(listener.stdout ?? listener, "data")) as [Buffer];
          heard.push(...String(chunk).trim().split("\n"));
        }
      };
      const machine = await boot();
      try {
        await untilHeard("ready");
        const pid = processOf(machine.instanceId);
        const rule = `/proc/sys/net/ipv4/conf/${interfaceOf(pid)}/rp_filter`;
        expect(readFileSync(rule, "utf8").trim()).toBe("1");
        writeFileSync(rule, filter);
        const own = (await sh(machine, "ip -4 -o addr show dev eth0 | awk '{print $4}'")).replace("/32", "");
        within(pid, "ip", "address", "add", "10.99.99.99/32", "dev", "eth0");
        within(pid, ...sender("10.99.99.99", "spoofed"));
        within(pid, ...sender(own, "honest"));
        await untilHeard("honest");
        expect(heard).toEqual(["ready", "honest"]);
      } finally {
        listener.kill("SIGKILL");
        await machines.end(machine);
      }
    },
  );
});

describe("what cannot reach an instance", () => {
  it("the LAN, nor its name server", async () => {
    outside.run("ip", "route", "replace", `${gateway}/32`, "via", outside.hostInLan);
    await sh(box, "echo inside > /tmp/index.html; httpd -p 8081 -h /tmp");
    const address = (await sh(box, "ip -4 -o addr show dev eth0 | awk '{print $4}'")).replace("/32", "");
    outside.run("ip", "route", "replace", `${address}/32`, "via", outside.hostInLan);
    const timedOut = expect.objectContaining({ status: 124 });
    for (const url of [`http://${address}:8081/`, `http://${gateway}:53/`])
      expect(() => outside.run("timeout", "1", "busybox", "wget", "-qO-", url), url).toThrow(timedOut);
  });
});

describe("what surrounds a process inside", () => {
  it("has no capability, gains none, and is under seccomp", async () => {
    const status = await sh(box, "cat /proc/self/status");
    for (const set of ["Inh", "Prm", "Eff", "Bnd", "Amb"]) expect(status).toMatch(new RegExp(`Cap${set}:\\s+0{16}\\n`));
    expect(status).toMatch(/NoNewPrivs:\s+1/);
    expect(status).toMatch(/Seccomp:\s+2/);
  });

  it("is root for itself alone", async () => {
    expect(await sh(box, "id -u; cat /proc/self/uid_map")).toMatch(/^0\n\s+0\s+1000000\s+65536$/);
  });

  it("cannot mount, unshare, enter a namespace or change root", async () => {
    const attempts = {
      "mount -t tmpfs none /tmp": /denied|permitted/i,
      "mount -t proc none /tmp": /denied|permitted/i,
      "umount /proc": /denied|permitted/i,
      "unshare -U true": /permitted/i,
      "unshare -n true": /permitted/i,
      "nsenter -t 1 -m true": /permitted|denied/i,
      "chroot / true": /permitted/i,
      "pivot_root / /tmp": /permitted/i,
      "mknod /tmp/disk b 8 0": /permitted/i,
      "hostname other": /permitted/i,
      "ip link set lo down": /permitted/i,
      "ip addr add 10.0.0.1/8 dev eth0": /permitted/i,
      "reboot -f": /permitted/i,
      dmesg: /permitted/i,
      "date -s 2030-01-01": /permitted/i,
    };
    for (const [attempt, answer] of Object.entries(attempts)) expect(await sh(box, attempt), attempt).toMatch(answer);
  });

  it("cannot write to the kernel or to the harness", async () => {
    for (const file of [
      "/proc/sys/kernel/core_pattern",
      "/proc/sysrq-trigger",
      "/proc/sys/net/ipv4/ip_forward",
      "/sys/power/state",
      "/.aegis/aegis-guest",
      "/.aegis/x",
    ])
      expect(await sh(box, `echo x > ${file}`), file).toMatch(/read-only|denied|permitted|nonexistent/i);
    expect(await sh(box, "wc -c < /proc/keys; ls /sys/firmware | wc -l")).toMatch(/^0\n0$/);
  });

  it("sees its own processes and none of the host's folders", async () => {
    expect(await sh(box, "cat /proc/1/comm")).toBe("tini");
    const processes = await sh(box, "ls /proc | grep -c '^[0-9]'");
    expect(Number(processes)).toBeLessThan(20);
    expect(await sh(box, "grep ' / ' /proc/mounts")).not.toContain(host.home);
  });

  it("has the devices that every program needs, and leaves the host's as they were", async () => {
    expect(await sh(box, "ls /dev")).not.toMatch(/\b(sd|vd|nvme|kvm|mem|kmsg|loop|fuse|tun)/);
    // Owned by an id that does not exist inside: not even its root may change them. Never tried: they are the host's own.
    for (const device of ["null", "zero", "full", "random", "urandom", "tty"]) {
      // a virtual machine has its own
      if (!isMicrovm) expect(await sh(box, `stat -c %u /dev/${device}`), device).toBe("65534");
      expect(statSync(`/dev/${device}`), device).toMatchObject({ uid: 0 });
    }
    // in a virtual machine they are its own, whatever they are
    if (!isMicrovm)
      expect(await sh(box, "for fd in 0 1 2; do readlink /proc/1/fd/$fd; done")).toMatch(/^(socket:\[\d+\]\n?){3}$/);
    for (const fd of [1, 2]) expect(await sh(box, `echo x > /proc/1/fd/${fd}`)).toMatch(/denied|no such device/i);
  });

  it("finds no way to the harness's socket", async () => {
    expect(await sh(box, "find / -xdev -type s 2>/dev/null; find /run -type s | grep -v guestd.sock")).toBe("");
    expect(await sh(box, "cat < /proc/1/fd/3")).toMatch(/no such device|denied|permitted/i);
  });

  it("makes files in the workspace that belong to the owner outside", async () => {
    const workspace = host.folder("work");
    chownSync(workspace, 4321, 4322);
    const machine = await boot({ workspace: host.workspace(workspace) });
    await sh(machine, "echo made > /workspace/file; cp /bin/busybox /workspace/su; chmod 4755 /workspace/su");
    expect(statSync(join(workspace, "file"))).toMatchObject({ uid: 4321, gid: 4322 });
    expect(await sh(machine, "grep ' /workspace ' /proc/mounts")).toMatch(/nosuid/);
    await machines.end(machine);
  });
});

describe("limits on the host", () => {
  beforeEach(notInVm("the limits of what runs in a virtual machine are its own kernel's"));

  const control = (id: string, v1: string, v2: string): string => {
    const [folder = ""] = v1.split(".");
    const old = `/sys/fs/cgroup/${folder}/aegis/${host.homeKey}/${id}/${v1}`;
    const path = existsSync(old) ? old : `/sys/fs/cgroup/aegis/${host.homeKey}/${id}/${v2}`;
    return readFileSync(path, "utf8").trim();
  };

  it("stand in the control groups", async () => {
    const machine = await boot({ memoryMb: 96, vcpus: 0.5 });
    expect(control(machine.instanceId, "memory.limit_in_bytes", "memory.max")).toBe(String(96 * 1024 * 1024));
    expect(control(machine.instanceId, "cpu.cfs_quota_us", "cpu.max")).toMatch(/^50000\b/);
    expect(control(machine.instanceId, "pids.max", "pids.max")).toBe("1024");
    await machines.end(machine);
  });
});

describe("limits", () => {
  it("end a process past its memory, and the instance's neighbours notice nothing", async () => {
    const machine = await boot({ memoryMb: 64 });
    expect(await sh(machine, "tail /dev/zero; true")).toContain("Killed");
    expect(await machine.ranOutOfMemory()).toBe(true);
    expect(await box.ranOutOfMemory()).toBe(false);
    await machines.end(machine);
  });

  it("count what lies in the instance's memory file systems, which end before its memory does", async () => {
    const machine = await boot({ memoryMb: 64 });
    const fill = (file: string): string => `dd if=/dev/zero of=${file} bs=1M count=100; `;
    expect(await sh(machine, `${fill("/dev/shm/a")}${fill("/run/a")}${fill("/run/aegis/a")}true`)).toMatch(
      /(No space left[^]*){3}/,
    );
    expect((await machine.stats()).memory_bytes).toBeGreaterThan(16 * 1024 * 1024);
    expect(await machine.ranOutOfMemory()).toBe(false);
    await machines.end(machine);
  });

  it("bound a fork bomb, which then still ends at once", async () => {
    const machine = await boot({ memoryMb: 1024 });
    const bomb = "i=0; while [ $i -lt 1200 ]; do sleep 600 & i=$((i+1)); done";
    // where the harness needs a thread at that moment it ends, and its instance with it
    const outcome = await sh(machine, bomb).catch(async () => JSON.stringify(await machine.exited));
    expect(outcome).toMatch(/can't fork|resource temporarily unavailable|"outOfProcesses":true/i);
    expect((await machine.stats()).processes).toBeLessThanOrEqual(1024);
    expect(await sh(box, "echo fine")).toBe("fine");
    await machines.end(machine);
  });

  it("raise nothing of the host's", async () => {
    const hard = Number(execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }));
    expect(Number(await sh(box, "ulimit -Hn"))).toBeLessThanOrEqual(hard);
  });
});
