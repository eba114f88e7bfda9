import {
  chownSync,
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Driver, Machine, MachineSpec } from "../../../packages/daemon/src/core/driver.ts";
import { LiveMachines, sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { DriverHost, isMicrovm, notInVm } from "../driver-host.ts";
import { loopDevicesOf } from "../loop-devices.ts";

const MB = 1024 * 1024;
const FULL = /no space left/i;
const LOOK_MS = 20;

describe("the disk of an instance", () => {
  let host: DriverHost;
  let driver: Driver;
  let neighbour: Machine;
  const machines = new LiveMachines(() => driver);

  beforeAll(async () => {
    host = new DriverHost();
    driver = host.driver();
    await driver.start();
    neighbour = await boot();
  });

  afterAll(async () => {
    await machines.discardAll();
    await driver.close();
    expect(host.remove()).toEqual([]);
  });

  const boot = (over: Partial<MachineSpec> = {}): Promise<Machine> => machines.boot(host.spec(over));

  const imageOf = (id: string): string => join(host.home, "data/instances", id, "disk/image.ext4");
  const usedBytes = async (machine: Machine): Promise<number> => (await machine.stats()).disk_bytes ?? Number.NaN;
  /** until it is full, with other bytes than zeros: of a virtual machine those take no room on the host */
  const fillUp = (file: string): string => `while cat /bin/busybox; do :; done > ${file}`;
  const fill = (file: string, mb: number): string => `dd if=/dev/zero of=${file} bs=1M count=${mb}`;

  it("is full at its size, for the instance alone, and gives back what is deleted", async () => {
    expect(driver.features.limitsDisk).toBe(true);
    const machine = await boot({ diskMb: 64 });
    expect(await usedBytes(machine)).toBeLessThan(2 * MB);
    expect(await sh(machine, `: > /var/b; ${fillUp("/root/a")}; ${fillUp("/var/b")}; sync`)).toMatch(FULL);
    const full = await usedBytes(machine);
    expect(full).toBeGreaterThan(32 * MB);
    expect(full).toBeLessThanOrEqual(64 * MB);
    expect(await sh(neighbour, `${fill("/root/a", 20)} && wc -c < /root/a`)).toContain(String(20 * MB));
    expect(
      await sh(machine, "echo in memory > /dev/shm/a; cat /dev/shm/a; rm /root/a /var/b; echo room > /root/c; sync"),
    ).toBe("in memory");
    while ((await usedBytes(machine)) > full / 2) await delay(LOOK_MS);
    expect(await sh(machine, "cat /root/c")).toBe("room");
    await machines.end(machine);
  });

  it("holds so many files and no more", async () => {
    const machine = await boot({ diskMb: 64 });
    const flood =
      "mkdir /root/d; cd /root/d; i=0; while [ $i -lt 5000 ] && echo -n > $i; do i=$((i+1)); done; ls | wc -l";
    const said = await sh(machine, flood);
    expect(said).toMatch(FULL);
    expect(Number(/^\d+$/m.exec(said)?.[0])).toBeLessThan(4096);
    expect(await sh(machine, "rm -r /root/d; echo again > /root/e; cat /root/e")).toBe("again");
    await machines.end(machine);
  });

  it("shows the instance neither its device nor its image", async () => {
    expect(await sh(neighbour, "grep -c loop /proc/mounts; ls /dev | grep -c loop; ls -a / | grep -c lost+found")).toBe(
      "0\n0\n0",
    );
    expect(await sh(neighbour, "mount -o remount,size=1g /; mknod /root/l b 7 0")).toMatch(/permitted|denied/i);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain("/dev/loop");
  });

  it("grows with the next boot and keeps what is in it, and never shrinks", async () => {
    const spec = host.spec({ diskMb: 64 });
    const small = await boot(spec);
    expect(await sh(small, `${fill("/root/a", 100)}; echo kept > /dev/null`)).toMatch(FULL);
    const size = await sh(small, "wc -c < /root/a");
    await machines.end(small);
    const large = await boot({ ...spec, boot: 2, diskMb: 256 });
    expect(await sh(large, "wc -c < /root/a")).toBe(size);
    expect(await sh(large, `${fill("/root/b", 100)}; wc -c < /root/b`)).toContain(String(100 * MB));
    await machines.end(large);
    const same = await boot({ ...spec, boot: 3, diskMb: 64 });
    expect(await sh(same, "wc -c < /root/b")).toBe(String(100 * MB));
    await machines.end(same);
  });

  it("keeps what was synced when the instance is killed while it writes, again and again", async () => {
    const spec = host.spec({ diskMb: 128 });
    for (let round = 1; round <= 6; round++) {
      const machine = await boot({ ...spec, boot: round });
      expect(await sh(machine, "cat /root/round 2> /dev/null")).toBe(round === 1 ? "" : String(round - 1));
      await sh(
        machine,
        `echo ${round} > /root/round; sync; (while :; do ${fill("/root/x", 8)}; done) > /dev/null 2>&1 &`,
      );
      await machines.end(machine);
    }
    expect(loopDevicesOf(join(host.home, "data/instances", spec.instanceId))).toEqual([]);
    // a virtual machine that is killed leaves its journal to the next boot
    if (!isMicrovm) execFileSync("e2fsck", ["-f", "-n", imageOf(spec.instanceId)], { stdio: "pipe" });
  });

  it("is mended before the next boot when the kernel has met an error in it", async () => {
    const spec = host.spec({ diskMb: 64 });
    const first = await boot(spec);
    await sh(first, "echo kept > /root/kept; sync");
    await machines.end(first);
    execFileSync("debugfs", ["-w", "-R", "set_super_value state 2", imageOf(spec.instanceId)], { stdio: "pipe" });
    const second = await boot({ ...spec, boot: 2 });
    expect(await sh(second, "cat /root/kept; echo more > /root/more; cat /root/more")).toBe("kept\nmore");
    await machines.end(second);
    const header = execFileSync("dumpe2fs", ["-h", imageOf(spec.instanceId)], { encoding: "utf8", stdio: "pipe" });
    expect(header).toMatch(/Filesystem state:\s+clean\n/);
  });

  it("that is damaged is left alone, and the instance says so", async () => {
    const spec = host.spec({ diskMb: 64 });
    await machines.end(await boot(spec));
    const file = openSync(imageOf(spec.instanceId), "r+");
    writeSync(file, Buffer.alloc(1024), 0, 1024, 1024);
    closeSync(file);
    const damaged = readFileSync(imageOf(spec.instanceId));
    await expect(driver.create({ ...spec, boot: 2 })).rejects.toMatchObject({
      code: "driver_failed",
      message: expect.stringMatching(/its disk is damaged/),
    });
    expect(readFileSync(imageOf(spec.instanceId)).equals(damaged)).toBe(true);
    await driver.discard(spec.instanceId);
    expect(existsSync(dirname(imageOf(spec.instanceId)))).toBe(false);
    await machines.end(await boot({ ...spec, boot: 3 }));
  });

  describe("of a container", () => {
    beforeEach(notInVm("virtual machines make theirs when they need it, and never had folders"));

    it("is made ahead for the next instance of the same size, which then has it to itself", async () => {
      const spare = join(host.home, "data/spare-disk/image.ext4");
      const untilSpare = async (mb: number): Promise<void> => {
        while (!existsSync(spare) || statSync(spare).size !== mb * MB) await delay(LOOK_MS);
      };
      const first = await boot({ diskMb: 72 });
      await untilSpare(72);
      const { ino } = statSync(spare);
      const other = await boot({ diskMb: 80 });
      expect(statSync(imageOf(other.instanceId)).size).toBe(80 * MB);
      await untilSpare(80);
      const made = statSync(spare).ino;
      expect(made).not.toBe(ino);
      const next = await boot({ diskMb: 80 });
      expect(statSync(imageOf(next.instanceId)).ino).toBe(made);
      expect(await sh(next, "echo mine > /root/a; cat /root/a; ls /root | wc -l")).toBe("mine\n1");
      expect(await sh(other, "ls /root | wc -l")).toBe("0");
      for (const machine of [first, other, next]) await machines.end(machine);
    });

    it("is not made where an instance began with folders", async () => {
      const older = host.spec({ diskMb: 64 });
      const upper = join(dirname(imageOf(older.instanceId)), "upper");
      mkdirSync(join(upper, "root"), { recursive: true });
      writeFileSync(join(upper, "root/kept"), "from before\n");
      for (const path of ["", "root", "root/kept"]) chownSync(join(upper, path), 1_000_000, 1_000_000);
      const again = await boot(older);
      expect(await sh(again, `cat /root/kept; ${fill("/root/a", 80)}; wc -c < /root/a`)).toMatch(
        /^from before\n.*83886080/,
      );
      expect((await again.stats()).disk_bytes).toBeNull();
      await machines.end(again);
    });
  });

  it("is made anew when a crash interrupted its making", async () => {
    const begun = host.spec({ diskMb: 64 });
    mkdirSync(dirname(imageOf(begun.instanceId)), { recursive: true });
    writeFileSync(`${imageOf(begun.instanceId)}.new`, "half");
    const machine = await boot(begun);
    expect(await sh(machine, "echo works > /root/a; cat /root/a")).toBe("works");
    await machines.end(machine);
  });
});
