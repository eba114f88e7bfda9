import { AegisError } from "@aegis/protocol/errors";
import { PREVIEW_TOKEN } from "../../core/preview-record.ts";

/**
 * What a request to the router means. With a name of its own (`host`) a preview is an origin of its own; under a path
 * of one public host (`path`) all previews share that host's origin. `foreign`: it came by the public address, and asks
 * for no preview.
 */
export type PreviewMatch =
  | { by: "host"; token: string }
  | { by: "path"; token: string; rest: string }
  | { by: "foreign" };

interface PublicAddress {
  scheme: "http:" | "https:";
  /** without the star and its dot */
  host: string;
  wildcard: boolean;
}

const PATH = /^\/p\/(p-[a-z2-7]{26})([/?].*)?$/s;

/** Where previews are found: `<token>.localhost` on this machine, and below the public address where there is one. */
export class PreviewAddress {
  /** where the router listens; null while it does not */
  routerPort: number | null = null;
  #public: PublicAddress | null = null;
  #publicUrl: string | null = null;

  get publicUrl(): string | null {
    return this.#publicUrl;
  }

  /** @throws AegisError `invalid_request` */
  setPublicUrl(url: string | null): void {
    this.#public = url === null ? null : parsePublicUrl(url);
    this.#publicUrl = url;
  }

  /** What the outside was told: `https` means that cookies may go over nothing else. */
  isSecure(match: PreviewMatch, host: string): boolean {
    return this.#public?.scheme === "https:" && (match.by === "path" || !isLocal(host));
  }

  urlOf(token: string): string {
    if (this.#public === null) return `http://${token}.localhost:${this.routerPort ?? 0}/`;
    const { scheme, host, wildcard } = this.#public;
    return wildcard ? `${scheme}//${token}.${host}/` : `${scheme}//${host}/p/${token}/`;
  }

  /** @param url path and query. @returns null for a request to the router itself */
  match(hostHeader: string | undefined, url: string): PreviewMatch | null {
    const host = (hostHeader ?? "").toLowerCase();
    if (isLocal(host)) {
      const token = nameOf(host).slice(0, -".localhost".length);
      return PREVIEW_TOKEN.test(token) ? { by: "host", token } : null;
    }
    return this.#public === null ? null : matchPublic(this.#public, host, url);
  }
}

const nameOf = (host: string): string => host.replace(/:\d+$/, "");
const isLocal = (host: string): boolean => nameOf(host).endsWith(".localhost");

function matchPublic(address: PublicAddress, host: string, url: string): PreviewMatch | null {
  if (address.wildcard) {
    if (!host.endsWith(`.${address.host}`)) return null;
    const token = host.slice(0, -address.host.length - 1);
    return PREVIEW_TOKEN.test(token) ? { by: "host", token } : { by: "foreign" };
  }
  if (host !== address.host) return null;
  const [, token, rest] = PATH.exec(url) ?? [];
  return token === undefined ? { by: "foreign" } : { by: "path", token, rest: rest ?? "" };
}

function parsePublicUrl(text: string): PublicAddress {
  const parsed = URL.parse(text.replace("://*.", "://wildcard."));
  const wildcard = text.includes("://*.");
  const isPlain = parsed !== null && parsed.pathname === "/" && parsed.search === "" && parsed.username === "";
  if (!isPlain || (parsed.protocol !== "https:" && parsed.protocol !== "http:"))
    throw new AegisError(
      "invalid_request",
      `${JSON.stringify(text)} cannot be the public address: give one like https://*.preview.example.org, or https://bot.example.org, without a path.`,
    );
  const host = wildcard ? parsed.host.replace(/^wildcard\./, "") : parsed.host;
  return { scheme: parsed.protocol, host, wildcard };
}
