import { chownSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Machine } from "../../../packages/daemon/src/core/driver.ts";
import type { MicrovmDriver } from "../../../packages/daemon/src/drivers/microvm/microvm-driver.ts";
import { driverContract } from "../../../packages/daemon/test/drivers/driver-contract.ts";
import { execIn } from "../../../packages/daemon/test/drivers/harness-streams.ts";
import { whyNoBoot } from "../../../packages/daemon/src/drivers/microvm/accelerator.ts";
import { MicrovmHost, vmFolder } from "../microvm-host.ts";

// under emulation a boot takes seconds, and several at once as many times longer
vi.setConfig({ testTimeout: 300_000 });

driverContract("microvm by qemu", async () => {
  const host = new MicrovmHost();
  return {
    driver: host.microvm(),
    spec: { rootfs: host.rootfs },
    again: async () => host.microvm(),
    cleanUp: async () => {
      expect(host.leftovers()).toEqual([]);
      host.remove();
    },
  };
});

describe("the choice of hardware help", () => {
  const parts = { qemu: "/usr/bin/qemu-system-x86_64", vmDir: vmFolder() };

  it("is tried by booting a kernel, which says that it came up", async () => {
    expect(await whyNoBoot("tcg", parts, 60_000)).toBeNull();
  });

  it("does not wait for a kernel that never comes up", async () => {
    expect(await whyNoBoot("tcg", parts, 100)).toContain("nothing came up within 0.1 s");
  });

  it("says why QEMU did not even start", async () => {
    expect(await whyNoBoot("tcg", { ...parts, vmDir: "/nonexistent" })).toContain("vmlinuz");
  });
});

describe("microvm driver", () => {
  const key = new Uint8Array(32).fill(9);
  const never = new AbortController().signal;
  const host = new MicrovmHost();
  let driver: MicrovmDriver;
  const live = new Set<Machine>();

  beforeAll(async () => {
    driver = host.microvm();
    await driver.start();
  });

  afterAll(async () => {
    for (const machine of live) {
      await machine.kill();
      await machine.remove();
    }
    await driver.close();
    const left = host.leftovers();
    host.remove();
    expect(left).toEqual([]);
  });

  const sh = async (machine: Machine, script: string): Promise<string> => {
    const { stdout, stderr } = await execIn(machine, ["sh", "-c", script]);
    return (stdout + stderr).trim();
  };

  it("gives each instance a kernel of its own, and what it was asked for", async () => {
    const machine = await driver.create(host.spec({ hostname: "lobster", memoryMb: 96 }));
    live.add(machine);
    expect(await sh(machine, "uname -r")).toMatch(/cloud-amd64$/);
    expect(await sh(machine, "hostname; id -u")).toBe("lobster\n0");
    expect(await sh(machine, "mount -t tmpfs none /tmp")).toMatch(/permission denied/i);
    expect(await sh(machine, "cat /etc/resolv.conf")).toMatch(/^nameserver 10\.\d+\.\d+\.1$/);
    // no way to the host, at once and without a hang
    expect(await sh(machine, "nc -w 5 $(sed 's/nameserver //' /etc/resolv.conf) 22 </dev/null")).toContain("refused");
  });

  it("shares a workspace, whose files belong to the invoking user, and says that it keeps it from hibernating", async () => {
    const folder = host.folder("workspace");
    chownSync(folder, 4321, 4322);
    const machine = await driver.create(host.spec({ workspace: host.workspace(folder) }));
    live.add(machine);
    expect(await sh(machine, "echo text > /workspace/made; cat /workspace/made; stat -c %u /workspace/made")).toBe(
      "text\n0",
    );
    expect(statSync(join(folder, "made"))).toMatchObject({ uid: 4321, gid: 4322 });
    await machine.pause();
    await expect(machine.hibernate?.(key, never)).rejects.toThrow("with a workspace cannot be hibernated");
    await machine.resume();
    expect(await sh(machine, "cat /workspace/made")).toBe("text");
  });

  it("takes a machine up at another address, at the time that it is by then", async () => {
    const spec = host.spec();
    const machine = await driver.create(spec);
    expect(await sh(machine, "echo kept > /tmp/kept; echo kept > /dev/shm/kept")).toBe("");
    const before = await sh(machine, "ip -o -4 addr show dev eth0");
    await machine.pause();
    await machine.hibernate?.(key, never);
    await machine.remove();
    const other = await driver.create(host.spec());
    live.add(other);
    const again = await driver.restore({ ...spec, boot: 2 }, key);
    live.add(again);
    expect(await sh(again, "cat /tmp/kept /dev/shm/kept")).toBe("kept\nkept");
    expect(await sh(again, "ip -o -4 addr show dev eth0")).not.toBe(before);
    expect(Math.abs(Number(await sh(again, "date +%s")) - Date.now() / 1000)).toBeLessThan(5);
    expect(await sh(again, "nslookup nosuch.test")).toContain("NXDOMAIN");
  });
});
