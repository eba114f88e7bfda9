import Type, { type Static } from "typebox";
import { AegisError } from "./errors.ts";
import { formatIpv4, isNeverOutside, parseIpv4 } from "./ipv4.ts";

const MAX_ENTRIES = 256;

/**
 * What an instance reaches outside. The host, private networks, metadata addresses, other instances and IPv6 are out of
 * reach in every mode. `allowlist` opens TCP to what `allow` names and nothing else; `none` opens nothing. The Guest API
 * and bindings work in every mode.
 */
export const NetworkPolicy = Type.Object(
  {
    mode: Type.Enum(["open", "allowlist", "none"]),
    allow: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 272 }), {
        maxItems: MAX_ENTRIES,
        description:
          '"host", "host:port", "*.domain", "*.domain:port", or a public IPv4 address with or without a port',
      }),
    ),
  },
  { additionalProperties: false },
);
export type NetworkPolicy = Static<typeof NetworkPolicy>;

/** How an instance tried to reach something. */
export type NetworkProtocol = "dns" | "tcp" | "udp" | "icmp" | "other" | "any";

export const OPEN_NETWORK: NetworkPolicy = { mode: "open" };

/** One entry of `allow`. A `domain` is every name below it, not itself; port null is every TCP port. */
export interface AllowEntry {
  kind: "name" | "domain" | "address";
  /** lower case, without a dot at the end, IDN as `xn--`; or an IPv4 address */
  host: string;
  port: number | null;
}

const refuse = (text: string, why: string): never => {
  throw new AegisError("invalid_request", `The network allow entry "${text}" ${why}.`);
};

/** @throws AegisError `invalid_request` that says what is wrong with the entry */
export function parseAllowEntry(text: string): AllowEntry {
  const [, target = "", portText] = /^(.*?)(?::(\d+))?$/s.exec(text) ?? [];
  if (target === "*") refuse(text, 'is everything: use mode "open" for that');
  if (target.includes("/")) refuse(text, "must be a host alone, as in api.example.com:443, without a scheme or a path");
  if (target.includes(":")) refuse(text, "is neither host nor host:port (instances have no IPv6)");
  const port = portText === undefined ? null : Number(portText);
  if (port !== null && (port < 1 || port > 65_535)) refuse(text, "has a port that is not between 1 and 65535");
  if (/^[\d.]+$/.test(target)) return { kind: "address", host: publicAddress(text, target), port };
  if (target.startsWith("*.")) return { kind: "domain", host: hostName(text, target.slice(2)), port };
  return { kind: "name", host: hostName(text, target), port };
}

function publicAddress(text: string, address: string): string {
  const number = parseIpv4(address);
  if (number === null || formatIpv4(number) !== address) return refuse(text, "is no IPv4 address");
  if (isNeverOutside(number)) return refuse(text, "is private or special: no mode opens such addresses");
  return address;
}

function hostName(text: string, written: string): string {
  const name = normaliseName(asciiName(written));
  if (name === null)
    return refuse(text, "is no host name (a star may only stand for what is in front, as in *.example.org)");
  if (name === "localhost" || name.endsWith(".localhost")) return refuse(text, "is the instance itself");
  return name;
}

/** IDN as it goes over the wire. */
function asciiName(name: string): string {
  if (/^[\0-\x7f]*$/.test(name)) return name;
  // Nothing that a URL gives a meaning of its own, such as "@" or "#".
  if (!/^([\w.-]|[^\0-\x7f])+$/.test(name)) return "";
  return URL.parse(`http://${name}`)?.hostname ?? "";
}

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NUMERIC = /^(\d+|0x[0-9a-f]*)$/;

/** @returns the name in lower case without a dot at its end; null for what no public host can be called */
export function normaliseName(text: string): string | null {
  const name = text.toLowerCase().replace(/\.$/, "");
  const labels = name.split(".");
  const wellFormed = name.length <= 253 && labels.every((label) => LABEL.test(label));
  return wellFormed && !NUMERIC.test(labels.at(-1) ?? "") ? name : null;
}

export function formatAllowEntry({ kind, host, port }: AllowEntry): string {
  return `${kind === "domain" ? "*." : ""}${host}${port === null ? "" : `:${port}`}`;
}

/** @param name as {@link normaliseName} gives it */
export function entryNames(entry: AllowEntry, name: string): boolean {
  switch (entry.kind) {
    case "name":
      return entry.host === name;
    case "domain":
      return name.endsWith(`.${entry.host}`);
    case "address":
      return false;
  }
}

/**
 * The policy with its entries checked, in one spelling, each once.
 * @throws AegisError `invalid_request` for a bad entry, an empty allowlist, or entries in another mode
 */
export function checkedNetwork({ mode, allow = [] }: NetworkPolicy): NetworkPolicy {
  if (mode !== "allowlist") {
    if (allow.length === 0) return { mode };
    throw new AegisError("invalid_request", `network.allow goes with mode "allowlist", not with "${mode}".`);
  }
  if (allow.length === 0)
    throw new AegisError(
      "invalid_request",
      'network.allow names nothing. Name hosts, as in ["api.example.com:443"], or use mode "none".',
    );
  return { mode, allow: [...new Set(allow.map((text) => formatAllowEntry(parseAllowEntry(text))))] };
}

function entryCovers(parent: AllowEntry, child: AllowEntry): boolean {
  if (parent.port !== null && parent.port !== child.port) return false;
  switch (child.kind) {
    case "name":
      return entryNames(parent, child.host);
    case "domain":
      return parent.kind === "domain" && (parent.host === child.host || entryNames(parent, child.host));
    case "address":
      return parent.kind === "address" && parent.host === child.host;
  }
}

/**
 * True when the list `parent` lets through every destination that `child` lets through.
 * @throws AegisError `invalid_request` for a bad entry
 */
export function covers(parent: readonly string[], child: readonly string[]): boolean {
  const parents = parent.map(parseAllowEntry);
  return child.map(parseAllowEntry).every((entry) => parents.some((wider) => entryCovers(wider, entry)));
}

/** {@link covers} for whole policies. */
export function networkCovers(parent: NetworkPolicy, child: NetworkPolicy): boolean {
  if (parent.mode === "open" || child.mode === "none") return true;
  return parent.mode === "allowlist" && child.mode === "allowlist" && covers(parent.allow ?? [], child.allow ?? []);
}
