import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Driver, Machine } from "../../../packages/daemon/src/core/driver.ts";
import { execIn } from "../../../packages/daemon/test/drivers/harness-streams.ts";
import { DriverHost, notInVm } from "../driver-host.ts";

let host: DriverHost;
let driver: Driver;
let boxes: Machine[];
let hoard: string;

beforeAll(async () => {
  host = new DriverHost();
  hoard = join(host.home, "hoard");
  execFileSync("cc", ["-static", "-O1", "-o", hoard, fileURLToPath(new URL("hoard.c", import.meta.url))]);
  copyFileSync(hoard, join(host.rootfs, "bin/hoard"));
  driver = host.driver();
  await driver.start();
  boxes = [await driver.create(host.spec()), await driver.create(host.spec())];
});

afterAll(async () => {
  for (const box of boxes) {
    await box.kill();
    await box.remove();
  }
  await driver.close();
  expect(host.remove()).toEqual([]);
});

/** What root of this machine gets, which is the user that the kernel counts every instance's namespace to. */
async function outside(what: string): Promise<string> {
  const child = spawn(hoard, [what, "5"], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = await Promise.all([text(child.stdout), once(child, "exit")]);
  return said;
}

describe("what the kernel counts to one user, an instance cannot use up for the others and the host", () => {
  beforeEach(notInVm("a virtual machine has a kernel of its own, which counts nothing of others"));

  it.each([
    { what: "inotify", most: 32, neighbour: "5 enough\n" },
    { what: "timers", most: 1024, neighbour: "5 enough\n" },
    { what: "queues", most: 0, neighbour: "0 EMFILE\n" },
  ])("$what", async ({ what, most, neighbour }) => {
    const [greedy, modest] = boxes;
    if (greedy === undefined || modest === undefined) throw new Error("no machines");
    const holding = [
      `mkfifo /tmp/${what}.in /tmp/${what}.out`,
      `hoard ${what} < /tmp/${what}.in > /tmp/${what}.out 2>&1 &`,
      `sleep 1000 > /tmp/${what}.in &`,
      `read -r said < /tmp/${what}.out; echo "$said"`,
    ].join("\n");
    const { stdout } = await execIn(greedy, ["sh", "-c", holding]);
    expect(stdout).toMatch(/^[0-9]+ E(MFILE|AGAIN)\n$/);
    expect(Number.parseInt(stdout)).toBeLessThanOrEqual(most);
    expect((await execIn(modest, ["sh", "-c", `hoard ${what} 5 < /dev/null`])).stdout).toBe(neighbour);
    expect(await outside(what)).toBe("5 enough\n");
  });
});
