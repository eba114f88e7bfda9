import { describe, expect, it } from "vitest";
import type { MachineSpec } from "../../src/core/driver.ts";
import { FakeDriver, FakeHost } from "../../src/drivers/fake/fake-driver.ts";
import { driverContract } from "./driver-contract.ts";
import { execIn, openControl, openStream } from "./harness-streams.ts";

driverContract("fake", async () => {
  const host = new FakeHost();
  return {
    driver: new FakeDriver(host),
    echoServer: (port) => ["echo-server", String(port)],
    again: async () => new FakeDriver(host),
    cleanUp: async () => undefined,
  };
});

const spec: MachineSpec = {
  instanceId: "inst-1",
  boot: 1,
  hostname: "one",
  image: { digest: "sha256:0", derived: "/nonexistent" },
  rootfs: "/",
  user: "",
  diskMb: 1024,
  memoryMb: 64,
  vcpus: 1,
  readOnlyRoot: false,
  network: { mode: "open" },
  workspace: null,
};

describe("fake driver", () => {
  it("fails where a test wants it to, and only as long", async () => {
    const driver = new FakeDriver();
    driver.faults.create = new Error("no room");
    await expect(driver.create(spec)).rejects.toThrow("no room");
    driver.faults.create = null;
    const machine = await driver.create(spec);
    driver.faults.pause = new Error("stuck");
    await expect(machine.pause()).rejects.toThrow("stuck");
    expect(await machine.isPaused()).toBe(false);
  });

  it("waits before a create for what a test says", async () => {
    const driver = new FakeDriver();
    const { promise, resolve } = Promise.withResolvers<void>();
    driver.beforeCreate = () => promise;
    const created = driver.create(spec);
    expect(driver.machine("inst-1")).toBeNull();
    resolve();
    expect(await created).toBe(driver.machine("inst-1"));
  });

  it("ends on demand, for want of memory too", async () => {
    const machine = await new FakeDriver().create(spec);
    machine.exit({ outOfMemory: true });
    expect(await machine.exited).toEqual({ outOfMemory: true });
    expect(await machine.ranOutOfMemory()).toBe(true);
  });

  it("serves HTTP on a port while the workload runs", async () => {
    const machine = await new FakeDriver().create(spec);
    const control = await openControl(machine);
    await control.run(["serve", "8080"]);
    const { stream, reply } = await openStream(machine, { kind: "port", port: 8080 });
    expect(reply).toEqual({ ok: true });
    stream.write("GET / HTTP/1.1\r\n\r\n");
    const text = (await stream.toArray()).join("");
    expect(text).toContain("hello from one");
    await control.shutdown();
    await machine.exited;
  });

  it("lets the guest open a stream to the host", async () => {
    const machine = await new FakeDriver().create(spec);
    const { stream: control } = await openStream(machine, { kind: "control" });
    const asked = new Promise<string>((resolve) => control.once("data", (chunk: Buffer) => resolve(chunk.toString())));
    control.resume();
    const guest = machine.harness.openStream({ kind: "guest_api" }, "token");
    const { params } = JSON.parse(await asked) as { params: { stream_id: string } };
    expect(params).toMatchObject({ kind: "guest_api", token: "token" });
    const { stream } = await openStream(machine, { kind: "accept", stream_id: params.stream_id });
    (await guest).write("from inside");
    expect(String((await stream.iterator().next()).value)).toBe("from inside");
    machine.exit();
  });

  it("gives the environment to what it runs", async () => {
    const machine = await new FakeDriver().create(spec);
    expect((await execIn(machine, ["env", "WHO"], { env: { WHO: "me" } })).stdout).toBe("me\n");
  });
});
