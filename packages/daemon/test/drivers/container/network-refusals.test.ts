import { describe, expect, it } from "vitest";
import type { NetworkRefusal } from "../../../src/core/driver.ts";
import type { LinkOwner } from "../../../src/drivers/linux/network/instance-link.ts";
import { parseSet } from "../../../src/drivers/linux/network/nft-set.ts";
import { RefusalReports } from "../../../src/drivers/linux/network/refusal-reports.ts";
import { parseReceived } from "../../../src/drivers/linux/network/refusal-watch.ts";

const owner = (instanceId: string): LinkOwner => ({ instanceId, boot: 1, network: { mode: "none" } });
const refusal = (destination: string) => ({ destination, protocol: "tcp" as const, reason: "no" });

describe("reports of refusals", () => {
  const start = () => {
    const told: NetworkRefusal[] = [];
    const clock = { now: 0 };
    const reports = new RefusalReports(
      (one) => told.push(one),
      () => clock.now,
    );
    return { told, clock, reports };
  };

  it("tell a destination once a minute for each instance", () => {
    const { told, clock, reports } = start();
    const [one, two] = [owner("one"), owner("two")];
    for (let times = 0; times < 3; times++) for (const who of [one, two]) reports.add(who, refusal("203.0.113.1:80"));
    expect(told.map(({ instanceId }) => instanceId)).toEqual(["one", "two"]);
    clock.now = 60_000;
    reports.add(one, refusal("203.0.113.1:80"));
    expect(told).toHaveLength(3);
  });

  it("count what a flood leaves out, and let nobody else's be hidden by it", () => {
    const { told, clock, reports } = start();
    const [flood, quiet] = [owner("flood"), owner("quiet")];
    for (let at = 0; at < 5000; at++) reports.add(flood, refusal(`203.0.113.1:${at}`));
    reports.add(quiet, refusal("203.0.113.2:80"));
    expect(told).toHaveLength(51);
    expect(told.at(-1)).toMatchObject({ instanceId: "quiet", more: 0 });
    clock.now = 59_999;
    reports.tick();
    expect(told).toHaveLength(51);
    clock.now = 60_000;
    reports.tick();
    expect(told.slice(51)).toEqual([
      {
        instanceId: "flood",
        boot: 1,
        destination: "*",
        protocol: "any",
        reason: "1000 or more further destinations were refused within a minute",
        more: 1000,
      },
    ]);
  });

  it("tell what was left out when the boot ends", () => {
    const { told, reports } = start();
    const flood = owner("flood");
    for (let at = 0; at < 53; at++) reports.add(flood, refusal(`203.0.113.1:${at}`));
    reports.end(flood);
    reports.end(flood);
    expect(told.slice(50)).toMatchObject([{ destination: "*", more: 3 }]);
  });
});

describe("what nft lists", () => {
  const listing = (elem: unknown): string =>
    JSON.stringify({ nftables: [{ metainfo: { json_schema_version: 1 } }, { set: { name: "refused", elem } }] });

  it("is read with and without time-outs, keys of one part and of many", () => {
    const elements = [
      { elem: { val: { concat: ["ag0-1", "203.0.113.1", "tcp", 80] }, timeout: 10, expires: 9 } },
      { concat: ["ag0-r5-abcd", "203.0.113.1"] },
      "ag0-1",
    ];
    expect(parseSet(listing(elements))).toEqual([
      { key: ["ag0-1", "203.0.113.1", "tcp", 80], expires: 9 },
      { key: ["ag0-r5-abcd", "203.0.113.1"], expires: null },
      { key: ["ag0-1"], expires: null },
    ]);
    expect(parseSet(listing(undefined))).toEqual([]);
  });

  it("is refused when it is something else", () => {
    expect(() => parseSet("{}")).toThrow(/not known/);
    expect(() => parseSet(listing([{ elem: { val: null } }]))).toThrow(/not known/);
  });
});

describe("packets from interfaces", () => {
  it("are in the third column", () => {
    const text = [
      "Inter-|   Receive                                                |  Transmit",
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs",
      "    lo: 4208886   29462    0    0    0     0          0         0  4208886   29462    0",
      "ag0-r12-ab3z:     908       7    0    0    0     0          0         0      736       6    0",
      "",
    ].join("\n");
    expect([...parseReceived(text)]).toEqual([
      ["lo", "29462"],
      ["ag0-r12-ab3z", "7"],
    ]);
  });
});
