import { mapHeaders, type RawHeaders, type Rewrite } from "../http-proxy.ts";
import { COOKIE_PREFIX } from "./preview-session.ts";

export interface Shown {
  guestPort: number;
  /** path and query for the server inside */
  path: string;
  /** of the preview's paths outside: empty, or `/p/<token>` */
  prefix: string;
  /** as the browser has it */
  host: string;
  secure: boolean;
}

/**
 * Development servers answer at localhost only, and compare a WebSocket's origin with it: they are told that they are
 * asked at localhost, and where really (`X-Forwarded-*`). Ours of the cookies stay ours. The link is a secret, so the
 * browser must not tell it to the sites that a page links to.
 *
 * @param cookie one more that is set with the answer
 */
export function previewRewrite(shown: Shown, cookie: string | null = null): Rewrite {
  return {
    path: shown.path,
    request: (headers) => toInside(headers, shown),
    response: (headers) => [...toOutside(headers, shown), ...(cookie === null ? [] : ["Set-Cookie", cookie])],
  };
}

const outer = ({ host, secure }: Shown): string => `${secure ? "https" : "http"}://${host}`;
const inner = ({ guestPort }: Shown): string => `http://localhost:${guestPort}`;

function toInside(headers: RawHeaders, shown: Shown): RawHeaders {
  const kept = mapHeaders(headers, (name, value) => {
    if (name === "host") return `localhost:${shown.guestPort}`;
    if (name === "origin" && value === outer(shown)) return inner(shown);
    if (name === "cookie") return foreignCookies(value);
    return name.startsWith("x-forwarded-") || name === "x-aegis-instance" ? null : value;
  });
  kept.push("X-Forwarded-Host", shown.host, "X-Forwarded-Proto", shown.secure ? "https" : "http");
  if (shown.prefix !== "") kept.push("X-Forwarded-Prefix", shown.prefix);
  return kept;
}

function toOutside(headers: RawHeaders, shown: Shown): RawHeaders {
  const kept = mapHeaders(headers, (name, value) => {
    if (name === "location") return location(value, shown);
    if (name === "set-cookie") return setCookie(value, shown);
    return name === "referrer-policy" || name === "x-robots-tag" ? null : value;
  });
  return [...kept, "Referrer-Policy", "same-origin", "X-Robots-Tag", "noindex"];
}

function foreignCookies(value: string): string | null {
  const kept = value.split(";").filter((part) => !part.trim().startsWith(COOKIE_PREFIX));
  return kept.length === 0 ? null : kept.join(";").trim();
}

/** A redirect stays in the preview. */
function location(value: string, shown: Shown): string {
  const absolute = [inner(shown), `http://127.0.0.1:${shown.guestPort}`].find((base) => value.startsWith(`${base}/`));
  const path = absolute === undefined ? value : value.slice(absolute.length);
  return path.startsWith("/") && !path.startsWith("//") ? `${shown.prefix}${path}` : path;
}

function setCookie(value: string, { prefix }: Shown): string | null {
  if (value.trimStart().startsWith(COOKIE_PREFIX)) return null;
  return prefix === "" ? value : value.replace(/;\s*path=\/(?=;|$)/i, `; Path=${prefix}/`);
}
