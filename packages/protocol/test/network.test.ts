import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkedNetwork,
  covers,
  entryNames,
  formatAllowEntry,
  networkCovers,
  normaliseName,
  parseAllowEntry,
  type NetworkPolicy,
} from "../src/network.ts";

describe("an entry", () => {
  it.each([
    ["api.example.com:443", "api.example.com:443", "name"],
    ["API.Example.COM.", "api.example.com", "name"],
    ["*.Example.org:8443", "*.example.org:8443", "domain"],
    ["münchen.example", "xn--mnchen-3ya.example", "name"],
    ["*.BÜCHER.example:80", "*.xn--bcher-kva.example:80", "domain"],
    ["_dmarc.example.com", "_dmarc.example.com", "name"],
    ["203.0.113.10", "203.0.113.10", "address"],
    ["8.8.8.8:53", "8.8.8.8:53", "address"],
  ])("%s is %s", (text, formatted, kind) => {
    const entry = parseAllowEntry(text);
    expect([formatAllowEntry(entry), entry.kind]).toEqual([formatted, kind]);
    expect(parseAllowEntry(formatted)).toEqual(entry);
  });

  it.each([
    ["*", /mode "open"/],
    ["*:443", /mode "open"/],
    ["", /no host name/],
    ["*.", /no host name/],
    ["*.*.example.org", /no host name/],
    ["api.*.example.org", /no host name/],
    ["ex*mple.org", /no host name/],
    ["https://example.org", /without a scheme/],
    ["example.org/path", /without a scheme/],
    ["example.org:0", /port/],
    ["example.org:65536", /port/],
    ["example.org:https", /host:port/],
    ["[2001:db8::1]:443", /no IPv6/],
    ["::1", /no IPv6/],
    ["10.0.0.1", /private/],
    ["127.0.0.1:80", /private/],
    ["192.168.1.1", /private/],
    ["172.16.0.1", /private/],
    ["100.64.0.1", /private/],
    ["169.254.169.254", /private/],
    ["224.0.0.1", /private/],
    ["0.0.0.0", /private/],
    ["127.1", /no IPv4/],
    ["08.8.8.8", /no IPv4/],
    ["2130706433", /no IPv4/],
    ["0x7f000001", /no host name/],
    ["a.0x7f", /no host name/],
    ["localhost", /the instance itself/],
    ["app.localhost:80", /the instance itself/],
    ["exa mple.org", /no host name/],
    ["a..example.org", /no host name/],
    ["-a.example.org", /no host name/],
    ["example.org\n", /no host name/],
    [`${"a".repeat(64)}.org`, /no host name/],
    [`${"a.".repeat(130)}org`, /no host name/],
    ["ü@evil.example", /no host name/],
    ["ü#evil.example", /no host name/],
  ])("%j is refused, and the error says why", (text, why) => {
    expect(() => parseAllowEntry(text)).toThrow(expect.objectContaining({ code: "invalid_request" }));
    expect(() => parseAllowEntry(text)).toThrow(why);
  });

  it("names what it says, and a domain no name but those below it", () => {
    const domain = parseAllowEntry("*.example.org");
    expect(["a.example.org", "b.a.example.org"].every((name) => entryNames(domain, name))).toBe(true);
    expect(["example.org", "badexample.org", "example.org.evil.com"].some((name) => entryNames(domain, name))).toBe(
      false,
    );
    expect(entryNames(parseAllowEntry("example.org"), "a.example.org")).toBe(false);
  });
});

describe("a policy", () => {
  it("is kept in one spelling, each entry once", () => {
    const allow = ["A.example.com:443", "a.example.com.:443", "8.8.8.8"];
    expect(checkedNetwork({ mode: "allowlist", allow })).toEqual({
      mode: "allowlist",
      allow: ["a.example.com:443", "8.8.8.8"],
    });
    expect(checkedNetwork({ mode: "none", allow: [] })).toEqual({ mode: "none" });
  });

  it("is refused when it contradicts itself", () => {
    expect(() => checkedNetwork({ mode: "allowlist" })).toThrow(/names nothing/);
    expect(() => checkedNetwork({ mode: "open", allow: ["a.org"] })).toThrow(/goes with mode "allowlist"/);
    expect(() => checkedNetwork({ mode: "none", allow: ["a.org"] })).toThrow(/goes with mode "allowlist"/);
  });
});

interface Destination {
  host: string;
  port: number;
}

/** What a list lets through, said a second time and as plainly as can be. */
function lets(list: readonly string[], { host, port }: Destination): boolean {
  return list.some((text) => {
    const [pattern = "", wanted] = text.toLowerCase().split(":");
    if (wanted !== undefined && Number(wanted) !== port) return false;
    return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) && host !== pattern.slice(2) : host === pattern;
  });
}

const RUNS = { numRuns: 100_000 };
const label = fc.constantFrom("a", "b", "ab");
const host = fc.oneof(
  { weight: 4, arbitrary: fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join(".")) },
  { weight: 1, arbitrary: fc.constantFrom("8.8.8.8", "8.8.4.4") },
);
const port = fc.constantFrom(80, 443);
const isAddress = (text: string): boolean => /^[\d.]+$/.test(text);
const entry = fc
  .tuple(host, fc.boolean(), fc.option(port))
  .map(([name, below, at]) => `${below && !isAddress(name) ? "*." : ""}${name}${at === null ? "" : `:${at}`}`);
const list = fc.array(entry, { maxLength: 4 });
const destination = fc.record({ host, port });

describe("covers", () => {
  it("is never true when the child reaches what the parent does not", () => {
    let covered = 0;
    fc.assert(
      fc.property(list, list, destination, (parent, child, target) => {
        if (!covers(parent, child)) return true;
        covered += 1;
        return !lets(child, target) || lets(parent, target);
      }),
      RUNS,
    );
    expect(covered).toBeGreaterThan(1000);
  });

  it("is true for what a list says itself, in part and again", () => {
    fc.assert(fc.property(list, list, (some, more) => covers([...some, ...more], more) && covers(some, some)));
    expect(covers(["*.example.org"], ["a.example.org:443", "*.b.example.org:80"])).toBe(true);
    expect(covers(["a.org:443"], ["a.org"])).toBe(false);
    expect(covers(["*.example.org"], ["example.org"])).toBe(false);
    expect(covers(["8.8.8.8"], ["dns.google"])).toBe(false);
  });

  it("compares whole policies: open over all, none below all", () => {
    const open: NetworkPolicy = { mode: "open" };
    const none: NetworkPolicy = { mode: "none" };
    const listed: NetworkPolicy = { mode: "allowlist", allow: ["*.example.org"] };
    const part: NetworkPolicy = { mode: "allowlist", allow: ["a.example.org:443"] };
    const order = [none, part, listed, open];
    for (const [wide, parent] of order.entries())
      for (const [narrow, child] of order.entries())
        expect(networkCovers(parent, child), `${parent.mode} over ${child.mode}`).toBe(wide >= narrow);
  });
});

describe("a name", () => {
  it("is the same in any case, with or without the dot at its end", () => {
    fc.assert(
      fc.property(fc.domain(), (name) => {
        const plain = normaliseName(name);
        expect(normaliseName(`${name.toUpperCase()}.`)).toBe(plain);
        expect(plain).toBe(name.toLowerCase());
      }),
    );
  });

  it("never throws for what anybody may write", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const name = normaliseName(text);
        expect(name === null || /^[a-z0-9_.-]{1,253}$/.test(name)).toBe(true);
        expect(() => parseAllowEntry(text)).toSatisfy((parse: () => unknown) => {
          try {
            parse();
            return true;
          } catch (error) {
            return error instanceof Error && error.name === "AegisError";
          }
        });
      }),
    );
  });
});
