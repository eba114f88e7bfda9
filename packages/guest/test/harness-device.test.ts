import { freePort } from "@aegis/sdk/test/free-port";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestHarness } from "./harness-client.ts";

beforeAll(() => {
  TestHarness.channel = "device";
});
afterAll(() => {
  TestHarness.channel = "socket";
});

// what holds for streams that are sockets holds for streams on one character device
describe("exec", async () => {
  await import("./harness-exec.test.ts");
});
describe("connections", async () => {
  await import("./harness-connections.test.ts");
});
describe("run", async () => {
  await import("./harness-run.test.ts");
});
describe("compiled", async () => {
  await import("./compiled-harness.test.ts");
});

test("a host that is killed in the middle of a transfer leaves nothing to the next one", async () => {
  const harness = await TestHarness.start();
  try {
    const control = await harness.control();
    await control.run(["sleep", "66"], { guest_api_port: await freePort() });
    const flood = await harness.exec(["sh", "-c", "echo $$; exec cat /dev/zero"]);
    for (let i = 0; i < 20; i++) flood.stdin(Buffer.alloc(60_000));
    await flood.untilOutput("\0".repeat(100_000));
    const pid = Number(flood.output().toString().split("\n")[0]);
    harness.killHost();
    await control.closed;
    const next = await harness.control();
    expect(next.reply).toMatchObject({ ok: true, harness: { state: "running" } });
    const exec = await harness.exec(["cat"]);
    exec.stdin("fine");
    exec.end();
    expect(await exec.exit()).toEqual({ code: 0, signal: null });
    expect(exec.output().toString()).toBe("fine");
    await expect.poll(() => isAlive(pid)).toBe(false); // its stream broke, so it was hung up
  } finally {
    await harness.stop();
  }
});

test("the device is the harness's own: no process inside inherits it", async () => {
  const harness = await TestHarness.start();
  try {
    const exec = await harness.exec(["sh", "-c", "ls -l /proc/self/fd | grep -c pts"]);
    await exec.exit();
    expect(exec.output().toString()).toBe("0\n");
  } finally {
    await harness.stop();
  }
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
