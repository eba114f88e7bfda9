import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AddressBlock, blockCount, parseSubnet } from "../../../src/drivers/linux/network/address-block.ts";
import { BlockClaims } from "../../../src/drivers/linux/network/block-claim.ts";
import { parseNeighbours } from "../../../src/drivers/linux/network/host-routes.ts";
import { formatIpv4, overlaps, parseIpv4, parseIpv4Network } from "@aegis/protocol/ipv4";
import { neighbourRules, nftRules } from "../../../src/drivers/linux/network/nft-rules.ts";
import { Slots } from "../../../src/drivers/linux/network/slots.ts";

describe("IPv4", () => {
  it("reads and writes addresses", () => {
    expect(parseIpv4("10.209.4.1")).toBe(0x0ad10401);
    expect(formatIpv4(0xfffffffe)).toBe("255.255.255.254");
    for (const bad of ["1.2.3", "1.2.3.256", "1.2.3.4.5", "a.b.c.d", "1.2.3.-4", "", "1.2.3. 4"])
      expect(parseIpv4(bad), bad).toBeNull();
  });

  it("reads networks, but not an address within one", () => {
    expect(parseIpv4Network("10.0.0.0/8")).toEqual({ base: 0x0a000000, prefix: 8 });
    for (const bad of ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8/8", "10.0.0.0/x"])
      expect(parseIpv4Network(bad), bad).toBeNull();
  });

  it("sees that networks overlap", () => {
    const [wide, inner, beside] = [
      { base: 0, prefix: 8 },
      { base: 256, prefix: 24 },
      { base: 2 ** 24, prefix: 8 },
    ];
    expect(overlaps(wide, inner)).toBe(true);
    expect(overlaps(inner, wide)).toBe(true);
    expect(overlaps(wide, beside)).toBe(false);
  });
});

describe("address block", () => {
  it("counts out gateway, instances and names", () => {
    const block = new AddressBlock(parseSubnet("10.209.0.0/16"), 3);
    expect([block.gateway, block.address(0), block.address(block.slots - 1)]).toEqual([
      "10.209.12.1",
      "10.209.12.2",
      "10.209.15.254",
    ]);
    expect(block.interfaceName(1020)).toBe("ag3-1020");
    expect(block.interfaceName(7, "a9z0")).toBe("ag3-r7-a9z0");
    const widest = new AddressBlock(parseSubnet("10.209.0.0/16"), 63).interfaceName(1020, "zzzz");
    expect(widest.length, "what the kernel takes").toBeLessThanOrEqual(15);
    for (const [name, slot] of [
      ["ag3-1020", 1020],
      ["ag3-r7-a9z0", 7],
      ["ag3-r7", 7],
      ["ag30-7", null],
      ["ag3-x7", null],
      ["eth0", null],
    ] as const)
      expect(block.slotOf(name), name).toBe(slot);
    expect(block.contains("10.209.15.255")).toBe(true);
    for (const stranger of ["10.209.16.0", "10.209.11.255", "::1", ""])
      expect(block.contains(stranger), stranger).toBe(false);
    for (const slot of [0, 7, block.slots - 1]) expect(block.slotAt(block.address(slot))).toBe(slot);
    for (const stranger of [block.gateway, "10.209.15.255", "10.209.16.2", ""])
      expect(block.slotAt(stranger), stranger).toBeNull();
  });

  it("gives a slot that is wished for where it is free, else the one that was free for the longest time", async () => {
    const slots = new Slots(new AddressBlock(parseSubnet("10.209.0.0/16"), 63));
    expect(await slots.take()).toBe(0);
    expect(await slots.take(9)).toBe(9);
    expect(await slots.take(9)).toBe(1);
    slots.release(9);
    expect(await slots.take(9)).toBe(9);
  });

  it("holds 64 blocks in a /16 and one in a /22", () => {
    expect([
      blockCount(parseSubnet("10.209.0.0/16")),
      blockCount(parseSubnet("10.0.0.0/8")),
      blockCount(parseSubnet("10.1.4.0/22")),
    ]).toEqual([64, 64, 1]);
  });

  it("refuses a subnet that is none or too small", () => {
    for (const bad of ["10.0.0.0/23", "10.0.0.1/16", "fd00::/8", "x"])
      expect(() => parseSubnet(bad), bad).toThrow(/AEGIS_SUBNET/);
  });
});

describe("block claims", () => {
  let folder: string;
  let claims: BlockClaims;
  const home = (name: string): string => {
    mkdirSync(join(folder, name), { recursive: true });
    return join(folder, name);
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "aegis-claims-"));
    claims = new BlockClaims(join(folder, "net"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("gives each home one block, the same every time", async () => {
    expect(await claims.claim(home("a"), 4)).toBe(0);
    expect(await claims.claim(home("b"), 4)).toBe(1);
    expect(await claims.claim(home("a"), 4)).toBe(0);
  });

  it("gives different blocks to homes that come at once", async () => {
    const numbers = await Promise.all(
      ["a", "b", "c", "d"].map((name) => new BlockClaims(join(folder, "net")).claim(home(name), 4)),
    );
    expect(numbers.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  });

  it("takes over the block of a home that is gone", async () => {
    await claims.claim(home("a"), 1);
    await expect(claims.claim(home("b"), 1)).rejects.toMatchObject({ code: "driver_failed" });
    rmSync(join(folder, "a"), { recursive: true });
    expect(await claims.claim(home("b"), 1)).toBe(0);
  });

  it("leaves nothing after a release", async () => {
    await claims.claim(home("a"), 4);
    expect(await claims.inUse()).toBe(true);
    await claims.release(home("a"));
    await claims.release(home("a"));
    expect(await claims.inUse()).toBe(false);
    expect(readdirSync(join(folder, "net"))).toEqual([]);
  });
});

describe("neighbours of the host", () => {
  const table = [
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
    "ag0-1\t0300D10A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0",
    "wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0",
    "",
  ].join("\n");

  it("are the networks without a router, but neither our own links nor a tunnel to everywhere", () => {
    expect(parseNeighbours(table)).toEqual([{ base: 0xc0000200, prefix: 24 }]);
  });
});

describe("rules", () => {
  const block = new AddressBlock(parseSubnet("10.209.0.0/16"), 2);

  it("match interfaces, never single instances", () => {
    const rules = nftRules(block, []);
    expect(rules).toContain('iifname "ag2-*"');
    expect(rules).toMatch(/^\s*table inet aegis_2\s+delete table inet aegis_2/);
    expect(rules).not.toContain("10.209.8.2");
  });

  it("replace the neighbours in one go, none included", () => {
    expect(neighbourRules(block, [])).toBe("flush set inet aegis_2 neighbours\n");
    expect(neighbourRules(block, [{ base: 0xc0000200, prefix: 24 }])).toContain("{ 192.0.2.0/24 }");
  });
});
