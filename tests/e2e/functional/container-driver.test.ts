import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Machine, MachineSpec } from "../../../packages/daemon/src/core/driver.ts";
import type { ContainerDriver } from "../../../packages/daemon/src/drivers/container/container-driver.ts";
import { driverContract } from "../../../packages/daemon/test/drivers/driver-contract.ts";
import { execIn } from "../../../packages/daemon/test/drivers/harness-streams.ts";
import { LiveMachines, sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { makeBusyboxRootfs } from "../busybox-image.ts";
import { DriverHost } from "../driver-host.ts";

for (const runtime of ["crun", "runc"] as const)
  driverContract(`container by ${runtime}`, async () => {
    const host = new DriverHost();
    return {
      driver: host.container({ runtime }),
      spec: { rootfs: host.rootfs, image: host.image },
      again: async () => host.container({ runtime }),
      cleanUp: async () => {
        expect(host.remove()).toEqual([]);
      },
    };
  });

describe("container driver", () => {
  let host: DriverHost;
  let driver: ContainerDriver;
  const machines = new LiveMachines(() => driver);

  beforeAll(async () => {
    host = new DriverHost();
    driver = host.container();
    await driver.start();
  });

  afterAll(async () => {
    await machines.discardAll();
    await driver.close();
    expect(host.remove()).toEqual([]);
  });

  const boot = (over: Partial<MachineSpec> = {}): Promise<Machine> => machines.boot(host.spec(over));

  it("keeps the writable disk from boot to boot until it is discarded, and the image as it was", async () => {
    const spec = host.spec();
    const first = await boot(spec);
    expect(await sh(first, "echo kept > /etc/kept; rm /bin/vi; cat /etc/kept")).toBe("kept");
    await machines.end(first);
    const second = await boot({ ...spec, boot: 2 });
    expect(await sh(second, "cat /etc/kept; ls /bin/vi")).toContain("kept");
    await machines.end(second);
    await driver.discard(spec.instanceId);
    const third = await boot({ ...spec, boot: 3 });
    expect(await sh(third, "ls /etc/kept /bin/vi")).toContain("/bin/vi");
    expect(existsSync(join(host.rootfs, "etc/kept"))).toBe(false);
    await machines.end(third);
  });

  it("tells the instance its name, its name server and its loopback", async () => {
    const machine = await boot({ hostname: "lobster" });
    expect(await sh(machine, "hostname; cat /etc/hostname")).toBe("lobster\nlobster");
    expect(await sh(machine, "cat /etc/resolv.conf")).toMatch(/^nameserver 10\.\d+\.\d+\.1$/);
    const serve = "echo page > /tmp/index.html; httpd -p 8080 -h /tmp";
    const ask = "wget -qO- http://lobster:8080/; wget -qO- http://localhost:8080/";
    expect(await sh(machine, `${serve}; ${ask}`)).toBe("page\npage");
    await machines.end(machine);
  });

  it("binds low ports without a capability", async () => {
    const machine = await boot();
    expect(
      await sh(machine, "echo page > /tmp/index.html; httpd -p 127.0.0.1:80 -h /tmp && wget -qO- http://127.0.0.1/"),
    ).toBe("page");
    await machines.end(machine);
  });

  it("boots a read-only root with a writable /tmp and /run/aegis", async () => {
    const machine = await boot({ readOnlyRoot: true });
    expect(await sh(machine, "touch /etc/x")).toContain("Read-only file system");
    expect(await sh(machine, "echo a > /tmp/a && echo b > /run/aegis/b && cat /tmp/a /run/aegis/b")).toBe("a\nb");
    await machines.end(machine);
  });

  it("runs as the image's user, by number or by name, with its groups", async () => {
    const numbered = await boot({ user: "1234:77" });
    expect(await sh(numbered, "id -u; id -g; touch /run/aegis/mine && echo ok")).toBe("1234\n77\nok");
    const named = await boot({ user: "app" });
    expect(await sh(named, "id")).toBe("uid=1000(app) gid=1000(app) groups=2000(extra)");
    await expect(driver.create(host.spec({ user: "nobody-knows" }))).rejects.toMatchObject({ code: "image_invalid" });
    await Promise.all([machines.end(numbered), machines.end(named)]);
  });

  it("does not follow the image's links out of the image", async () => {
    const outside = join(host.home, "outside-passwd");
    writeFileSync(outside, "spy:x:7:7::/:/bin/sh\n");
    const evil = makeBusyboxRootfs(host.folder("images/evil"));
    rmSync(join(evil, "etc/passwd"));
    symlinkSync(outside, join(evil, "etc/passwd"));
    await expect(driver.create(host.spec({ rootfs: evil, user: "spy" }))).rejects.toMatchObject({
      code: "image_invalid",
    });
  });

  it("boots images whose /etc/resolv.conf is a link", async () => {
    const rootfs = makeBusyboxRootfs(host.folder("images/systemd"), {
      links: { "etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf", "etc/hosts": "/var/lib/hosts" },
    });
    const machine = await boot({ rootfs });
    expect(await sh(machine, "cat /etc/resolv.conf")).toContain("nameserver 10.");
    expect(await sh(machine, "cat /etc/hosts")).toContain("localhost");
    await machines.end(machine);
  });

  it("boots an image without a shell or a libc", async () => {
    const machine = await boot({ rootfs: makeBusyboxRootfs(host.folder("images/bare"), { applets: false }) });
    expect((await execIn(machine, ["/bin/busybox", "echo", "bare"])).stdout).toBe("bare\n");
    await machines.end(machine);
  });

  it("gives a workspace whose files belong to the owner outside", async () => {
    const workspace = host.folder("workspace, with: odd name");
    chownSync(workspace, 4321, 4322);
    const asRoot = await boot({ workspace: host.workspace(workspace) });
    expect(await sh(asRoot, "mkdir /workspace/d && echo a > /workspace/d/a && id -u")).toBe("0");
    await machines.end(asRoot);
    const asApp = await boot({ workspace: host.workspace(workspace), user: "app" });
    expect(await sh(asApp, "cat /workspace/d/a && echo b > /workspace/d/b && stat -c %u /workspace/d/a")).toBe(
      "a\n1000",
    );
    for (const name of ["d", "d/a", "d/b"])
      expect(statSync(join(workspace, name))).toMatchObject({ uid: 4321, gid: 4322 });
    expect(await sh(asApp, "grep -c ' /workspace .*nosuid,nodev' /proc/mounts")).toBe("1");
    await machines.end(asApp);
  });

  it("mounts no other folder than the one that was meant", async () => {
    const [meant, other] = [host.folder("meant"), host.folder("other")];
    const workspace = host.workspace(meant);
    renameSync(meant, `${meant}-away`);
    symlinkSync(other, meant);
    await expect(boot({ workspace })).rejects.toThrow(/workspace was swapped/);
  });

  it("refuses a workspace with a runtime that cannot map it", async () => {
    const other = new DriverHost();
    const limited = other.container({ runtime: "runc" });
    await limited.start();
    try {
      await expect(limited.create(other.spec({ workspace: other.workspace(other.folder("w")) }))).rejects.toThrow(
        /Install crun/,
      );
    } finally {
      await limited.close();
      expect(other.remove()).toEqual([]);
    }
  });

  it("says what is wrong with a root file system that is not there, and leaves nothing", async () => {
    const spec = host.spec({ rootfs: join(host.home, "images/none") });
    await expect(driver.create(spec)).rejects.toMatchObject({ code: "driver_failed" });
    expect(existsSync(`/run/aegis/${host.homeKey}/${spec.instanceId}`)).toBe(false);
  });

  it("refuses ids that would leave its folders", async () => {
    for (const instanceId of ["../x", "a/b", "", "x".repeat(100)])
      await expect(driver.create(host.spec({ instanceId }))).rejects.toMatchObject({ code: "driver_failed" });
    await expect(driver.discard("../..")).rejects.toMatchObject({ code: "driver_failed" });
  });

  it("reports memory that ran out, during the boot and after the end", async () => {
    const machine = await boot({ memoryMb: 64 });
    const hog = await execIn(machine, ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1; echo done"]);
    expect(hog.stderr + hog.stdout).toContain("Killed");
    expect(await machine.ranOutOfMemory()).toBe(true);
    await machine.kill();
    expect(await machine.exited).toEqual({ outOfMemory: true });
    await machines.end(machine);
  });

  it("shares an image's files between instances without their writes", async () => {
    const [one, two] = await Promise.all([boot(), boot()]);
    await sh(one, "echo one > /etc/who");
    expect(await sh(two, "cat /etc/who")).toContain("No such file");
    await Promise.all([machines.end(one), machines.end(two)]);
  });

  it("removes what a daemon that died during a boot left", async () => {
    const machine = await boot();
    const folder = `/run/aegis/${host.homeKey}/${machine.instanceId}`;
    writeFileSync(join(folder, "machine.json"), "{");
    const other = `/run/aegis/${host.homeKey}/inst-half`;
    mkdirSync(other);
    await driver.close();
    driver = host.container();
    await driver.start();
    expect(await machines.adopt()).toEqual([]);
    expect(existsSync(folder)).toBe(false);
    expect(existsSync(other)).toBe(false);
  });

  it("does not adopt a process that only has the same pid", async () => {
    const machine = await boot();
    const file = `/run/aegis/${host.homeKey}/${machine.instanceId}/machine.json`;
    const record = JSON.parse(readFileSync(file, "utf8")) as { startTime: string };
    writeFileSync(file, JSON.stringify({ ...record, startTime: "1" }));
    await driver.close();
    driver = host.container();
    await driver.start();
    expect(await machines.adopt()).toEqual([]);
  });

  it("gives a home its block again, and another home another one", async () => {
    const other = new DriverHost();
    const second = other.container();
    await second.start();
    const machine = await second.create(other.spec());
    const mine = await boot();
    const gateway = async (box: Machine): Promise<string> => sh(box, "cat /etc/resolv.conf");
    expect(await gateway(machine)).not.toBe(await gateway(mine));
    await machine.kill();
    await machine.remove();
    await second.close();
    expect(other.remove()).toEqual([]);
    await machines.end(mine);
  });
});
