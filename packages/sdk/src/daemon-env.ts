import type { Env } from "./aegis-home.ts";

/** Where a daemon lives, and the environment of whoever starts it. */
export interface DaemonPlace {
  home: string;
  env: Env;
}

const PLAIN = ["PATH", "LANG", "LC_ALL", "TZ", "SUDO_UID", "SUDO_GID", "SUDO_USER"];
const PROXIES = [
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
];

/** What the daemon gets of the caller's environment: its own settings and the way out, never keys or tokens. */
export function daemonEnv(place: DaemonPlace): Record<string, string> {
  const kept = Object.entries(place.env).filter(
    ([name]) => PLAIN.includes(name) || PROXIES.includes(name) || isSetting(name),
  );
  const env: Record<string, string> = { HOME: "/root" };
  for (const [name, value] of kept) if (value !== undefined) env[name] = value;
  return { ...env, AEGIS_HOME: place.home };
}

/** Names for sudo's `--preserve-env`; it sets PATH and its own variables itself. */
export const keptThroughSudo = (env: Env): string =>
  Object.keys(env)
    .filter((name) => isSetting(name) || PROXIES.includes(name))
    .toSorted()
    .join(",");

const isSetting = (name: string) => name.startsWith("AEGIS_");
