import { readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Machine, MachineSpec } from "../../../packages/daemon/src/core/driver.ts";
import type { MicrovmDriver } from "../../../packages/daemon/src/drivers/microvm/microvm-driver.ts";
import { LiveMachines, sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { DriverHost } from "../driver-host.ts";
import { alteredVm, vmScript } from "./altered-vm.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const key = new Uint8Array(32).fill(7);
const never = new AbortController().signal;

/** Each look at the kernel's numbers is one draw: two that draw the same meet in these, also where one has drawn some more before. */
const DRAWS = 256;
const DRAW = `dd if=/dev/urandom bs=16 count=${DRAWS} 2> /dev/null | od -An -v -tx1 -w16`;

/** Numbers that two machines have both drawn. @param draw prints them */
async function drawnByBoth(machines: readonly Machine[], draw = DRAW): Promise<string[]> {
  const drawn = await Promise.all(machines.map(async (machine) => (await sh(machine, draw)).split("\n")));
  for (const numbers of drawn) expect(new Set(numbers).size).toBe(DRAWS);
  const [numbers = [], others = []] = drawn;
  return numbers.filter((number) => others.includes(number));
}

describe("warm start", () => {
  const host = new DriverHost();
  const said: string[] = [];
  let driver: MicrovmDriver;
  const machines = new LiveMachines(() => driver);
  const templates = join(host.image.derived, "templates");
  const [oneSpec, otherSpec] = [host.spec({ hostname: "one" }), host.spec({ hostname: "other" })];
  let [one, other]: Machine[] = [];

  beforeAll(async () => {
    driver = host.microvm({ log: (message) => said.push(message) });
    await driver.start();
    await driver.warm(host.spec(), never);
    one = await machines.boot(oneSpec);
    other = await machines.boot(otherSpec);
  });

  afterAll(async () => {
    await machines.discardAll();
    await driver.close();
    const left = host.leftovers();
    host.remove();
    expect(left).toEqual([]);
  });

  const onBoth = (script: string): Promise<string[]> =>
    Promise.all([one, other].map((machine) => sh(machine as Machine, script)));

  /** In ms, as far as can be told: a look takes a while, within which it may be right. */
  const offBy = async (machine: Machine): Promise<number> => {
    const before = Date.now();
    const time = Number.parseFloat(await sh(machine, "echo | ts %.s")) * 1000;
    return Math.max(0, before - time, time - Date.now());
  };

  it("has every machine draw other random numbers, from the first one on", async () => {
    expect(await drawnByBoth([one as Machine, other as Machine])).toEqual([]);
  });

  it("was used: nothing was booted cold", () => {
    expect(said).toEqual([]);
    expect(readdirSync(templates)).toHaveLength(1);
  });

  it("gives every machine a name and addresses of its own, and a network", async () => {
    expect(await onBoth("hostname; cat /etc/hostname; grep -c template /etc/hosts")).toEqual([
      "one\none\n0",
      "other\nother\n0",
    ]);
    const [address, otherAddress] = await onBoth("ip -o -4 addr show dev eth0 | grep -o 'inet [0-9.]*'");
    expect(address).toMatch(/^inet 10\./);
    expect(address).not.toBe(otherAddress);
    const [hardware, otherHardware] = await onBoth("cat /sys/class/net/eth0/address");
    expect(hardware).not.toBe(otherHardware);
    for (const answer of await onBoth("nslookup nosuch.test")) expect(answer).toContain("NXDOMAIN");
  });

  it("sets the clocks to the time that it is", async () => {
    expect(await offBy(one as Machine)).toBeLessThan(2);
    expect(await offBy(other as Machine)).toBeLessThan(2);
  });

  it("gives every machine a disk of its own, which a later boot has as well", async () => {
    expect(await onBoth("hostname > /made; sync; cat /made")).toEqual(["one", "other"]);
    await machines.end(other as Machine);
    other = await machines.boot({ ...otherSpec, boot: 2 });
    expect(await sh(other, "cat /made; hostname")).toBe("other\nother");
  });

  it("hibernates one that was started so, and takes it up under its own name at the time that it is by then", async () => {
    const machine = one as Machine;
    const addresses = "ip -o addr show dev eth0 scope global; cat /sys/class/net/eth0/address";
    const before = await sh(machine, `echo kept > /dev/shm/kept; ${addresses}`);
    await machine.pause();
    await machine.hibernate?.(key, never);
    await machine.remove();
    one = await machines.restore({ ...oneSpec, boot: 2 }, key);
    expect(await sh(one, "cat /dev/shm/kept; hostname")).toBe("kept\none");
    expect(await offBy(one)).toBeLessThan(2);
    // nobody else has them by now
    expect(await sh(one, addresses)).toBe(before);
    expect(await sh(one, "nslookup nosuch.test")).toContain("NXDOMAIN");
  });

  it("boots cold, says so and forgets the template when that was changed", async () => {
    const [name = ""] = readdirSync(templates);
    const memory = join(templates, name, "snapshot", "memory.sealed");
    truncateSync(memory, statSync(memory).size - 1);
    const spec: MachineSpec = host.spec({ hostname: "cold" });
    const machine = await machines.boot(spec);
    expect(await sh(machine, "hostname")).toBe("cold");
    expect(said.join()).toContain(`${spec.instanceId} boots cold`);
    expect(readdirSync(templates)).toEqual([]);
  });
});

/**
 * The guest's agent without what makes the numbers other ones. The kernel makes a new key by itself after some seconds: so it
 * makes one right before it is written down, and draws when it would make the numbers other ones.
 */
const WITHOUT_SEED = `${vmScript("agent.pl")}
sub seed {
  open(my $random, '<', '/dev/urandom') or die "/dev/urandom: $!\\n";
  my $drawn = '';
  for (1 .. ${DRAWS}) {
    sysread($random, my $number, 16);
    $drawn .= unpack('H*', $number) . "\\n";
  }
  write_file('/bundle/rootfs/drawn', $drawn);
}
sub shed {
  open(my $random, '>', '/dev/urandom') or die "/dev/urandom: $!\n";
  my $nothing = 0;
  ioctl($random, $RESEED, $nothing) or die "reseed: $!\n";
}
`;

describe("a warm start without a fresh seed", () => {
  const host = new DriverHost();
  const vmDir = alteredVm({ "agent.pl": WITHOUT_SEED });
  const driver = host.microvm({ vmDir });
  const machines = new LiveMachines(() => driver);

  beforeAll(async () => {
    await driver.start();
    await driver.warm(host.spec(), never);
  });
  afterAll(async () => {
    await machines.discardAll();
    await driver.close();
    const left = host.leftovers();
    host.remove();
    rmSync(vmDir, { recursive: true, force: true });
    expect(left).toEqual([]);
  });

  it("would have machines draw the same random numbers", async () => {
    const pair = [await machines.boot(host.spec()), await machines.boot(host.spec())];
    expect(await drawnByBoth(pair, "cat /drawn")).not.toEqual([]);
  });
});
