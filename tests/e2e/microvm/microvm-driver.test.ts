import { chownSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { MicrovmDriver } from "../../../packages/daemon/src/drivers/microvm/microvm-driver.ts";
import { driverContract } from "../../../packages/daemon/test/drivers/driver-contract.ts";
import { LiveMachines, sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { whyNoBoot } from "../../../packages/daemon/src/drivers/microvm/accelerator.ts";
import { DriverHost, vmFolder } from "../driver-host.ts";
import { hasEnded } from "../home-on-host.ts";

// under emulation a boot takes seconds, and several at once as many times longer
vi.setConfig({ testTimeout: 300_000 });

driverContract("microvm by qemu", async () => {
  const host = new DriverHost();
  return {
    driver: host.microvm(),
    spec: { rootfs: host.rootfs, image: host.image },
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

/** Has what fills a machine's memory say what descriptors it has, and Node warn of something in it. */
function oddFiller(folder: string): { file: string; end: () => void } {
  const [file, preload] = [join(folder, "descriptors"), join(folder, "preload.cjs")];
  writeFileSync(
    preload,
    `const { readdirSync, readlinkSync, writeFileSync } = require("node:fs");
    const target = (fd) => { try { return readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } };
    if (process.argv[1]?.includes("fill-memory")) {
      writeFileSync(${JSON.stringify(file)}, readdirSync("/proc/self/fd").map(target).join("\\n"));
      process.emitWarning("something is odd");
    }`,
  );
  const { NODE_OPTIONS } = process.env;
  process.env["NODE_OPTIONS"] = `${NODE_OPTIONS ?? ""} --require=${preload}`;
  const end = (): void => {
    if (NODE_OPTIONS === undefined) delete process.env["NODE_OPTIONS"];
    else process.env["NODE_OPTIONS"] = NODE_OPTIONS;
  };
  return { file, end };
}

describe("microvm driver", () => {
  const key = new Uint8Array(32).fill(9);
  const never = new AbortController().signal;
  const host = new DriverHost();
  let driver: MicrovmDriver;
  const machines = new LiveMachines(() => driver);

  beforeAll(async () => {
    driver = host.microvm();
    await driver.start();
  });

  afterAll(async () => {
    await machines.discardAll();
    await driver.close();
    const left = host.leftovers();
    host.remove();
    expect(left).toEqual([]);
  });

  it("gives each instance a kernel of its own, and what it was asked for", async () => {
    const machine = await machines.boot(host.spec({ hostname: "lobster", memoryMb: 96 }));
    expect(await sh(machine, "uname -r")).toMatch(/cloud-amd64$/);
    expect(await sh(machine, "hostname; id -u")).toBe("lobster\n0");
    expect(await sh(machine, "mount -t tmpfs none /tmp")).toMatch(/permission denied/i);
    expect(await sh(machine, "cat /etc/resolv.conf")).toMatch(/^nameserver 10\.\d+\.\d+\.1$/);
    // no way to the host, at once and without a hang
    expect(await sh(machine, "nc -w 5 $(sed 's/nameserver //' /etc/resolv.conf) 22 </dev/null")).toContain("refused");
  });

  it("has on its disk what was written when it is ended, and tells how many processes it has", async () => {
    const spec = host.spec();
    const machine = await machines.boot(spec);
    expect(await sh(machine, "sleep 60 > /dev/null 2>&1 & echo kept > /root/kept; cat /root/kept")).toBe("kept");
    expect((await machine.stats()).processes).toBeGreaterThan(2);
    await machines.end(machine);
    const again = await machines.boot({ ...spec, boot: 2 });
    expect(await sh(again, "cat /root/kept")).toBe("kept");
  });

  it("shares a workspace, whose files belong to the invoking user, and says that it keeps it from hibernating", async () => {
    const folder = host.folder("workspace");
    chownSync(folder, 4321, 4322);
    const machine = await machines.boot(host.spec({ workspace: host.workspace(folder) }));
    expect(await sh(machine, "echo text > /workspace/made; cat /workspace/made; stat -c %u /workspace/made")).toBe(
      "text\n0",
    );
    expect(statSync(join(folder, "made"))).toMatchObject({ uid: 4321, gid: 4322 });
    await machine.pause();
    await expect(machine.hibernate?.(key, never)).rejects.toThrow("with a workspace cannot be hibernated");
    await machine.resume();
    expect(await sh(machine, "cat /workspace/made")).toBe("text");
  });

  it("does not start on what a container wrote without an image, and leaves it as it is", async () => {
    const spec = host.spec();
    const upper = host.folder(`data/instances/${spec.instanceId}/disk/upper`);
    writeFileSync(join(upper, "kept"), "kept");
    await expect(machines.boot(spec)).rejects.toThrow("AEGIS_DRIVER=container");
    expect(readdirSync(join(upper, ".."))).toEqual(["upper"]);
    expect(readFileSync(join(upper, "kept"), "utf8")).toBe("kept");
  });

  it("ends a machine whose monitor does not answer, takes up the others, and says so", async () => {
    const [mute, well] = [await machines.boot(host.spec()), await machines.boot(host.spec())];
    const folder = `/run/aegis/${host.homeKey}/${mute.instanceId}`;
    const { pid } = JSON.parse(readFileSync(join(folder, "machine.json"), "utf8")) as { pid: number };
    await driver.close();
    rmSync(join(folder, "monitor.sock"));
    const said: string[] = [];
    driver = host.microvm({ log: (line) => said.push(line) });
    await driver.start();
    const adopted = await machines.adopt();
    expect(adopted.map(({ instanceId }) => instanceId)).toContain(well.instanceId);
    expect(adopted.map(({ instanceId }) => instanceId)).not.toContain(mute.instanceId);
    expect(said.join("\n")).toContain(
      `the machine of ${mute.instanceId} (process ${pid}) runs, but cannot be taken up`,
    );
    expect(hasEnded(pid)).toBe(true);
    expect(await sh(adopted.find(({ instanceId }) => instanceId === well.instanceId) ?? well, "echo well")).toBe(
      "well",
    );
  });

  it("takes a machine up at another address, at the time that it is by then", async () => {
    const spec = host.spec();
    const machine = await driver.create(spec);
    expect(await sh(machine, "echo kept > /tmp/kept; echo kept > /dev/shm/kept")).toBe("");
    const before = await sh(machine, "ip -o -4 addr show dev eth0");
    await machine.pause();
    await machine.hibernate?.(key, never);
    await machine.remove();
    // as if another one had its address by then
    const file = join(host.home, "data/instances", spec.instanceId, "snapshot/facts.json");
    const facts = JSON.parse(readFileSync(file, "utf8")) as { address: string };
    expect(before).toContain(facts.address);
    writeFileSync(file, JSON.stringify({ ...facts, address: "192.0.2.1" }));
    const said = oddFiller(host.folder("filler"));
    const again = await machines.restore({ ...spec, boot: 2 }, key).finally(said.end);
    const inherited = readFileSync(said.file, "utf8").split("\n");
    expect(inherited.filter((target) => target.includes("image.ext4"))).toEqual([]);
    expect(new Set(inherited.filter((target) => target.startsWith("socket:"))).size, inherited.join()).toBe(2);
    // although others than QEMU wrote it
    expect((await again.stats()).memory_bytes, "counts for the instance").toBeGreaterThan(64 * 1024 * 1024);
    expect(await sh(again, "cat /tmp/kept /dev/shm/kept")).toBe("kept\nkept");
    expect(await sh(again, "ip -o -4 addr show dev eth0")).not.toBe(before);
    const asked = Date.now();
    const time = Number(await sh(again, "date +%s")) * 1000;
    // it tells whole seconds
    expect(time).toBeGreaterThan(asked - 2000);
    expect(time).toBeLessThan(Date.now() + 1000);
    expect(await sh(again, "nslookup nosuch.test")).toContain("NXDOMAIN");
  });
});
