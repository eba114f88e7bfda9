import { AegisError } from "@aegis/protocol/errors";
import type { PublicReach, TelegramMode } from "./relay/options.ts";
import { type Env, port, text, url } from "./setting-values.ts";

export interface TelegramSettings {
  /** secret */
  token: string;
  apiRoot: string;
  /** user ids; empty: strangers get a pairing code */
  allowFrom: string[];
  /** ids of the groups where the bot answers those of `allowFrom` who mention it */
  groups: string[];
  mode: TelegramMode;
}

const TELEGRAM_API = "https://api.telegram.org";
const MODES = ["relay", "webhook", "polling"] as const;
/** of the receiver behind a configured URL: whoever set that URL up has to know it */
const WEBHOOK_PORT = 8788;
/** the only ones that Telegram posts to */
const PUBLIC_PORTS = ["", "443", "80", "88", "8443"];
const QUICK_TUNNEL_URL = String.raw`https://[a-z0-9-]+\.trycloudflare\.com`;

/** @returns null without a token: the chat is the local page. @throws AegisError `invalid_request` that names the variable */
export function loadTelegramSettings(env: Env): TelegramSettings | null {
  const token = text(env, "TELEGRAM_BOT_TOKEN");
  if (token === null) return null;
  if (!/^\d+:[\w-]{20,}$/.test(token))
    throw new AegisError(
      "invalid_request",
      "TELEGRAM_BOT_TOKEN is not a bot token: @BotFather gives one that looks like 123456789:AAF... Copy it whole.",
    );
  const allowFrom = list(env, "TELEGRAM_ALLOW_FROM");
  for (const id of allowFrom)
    if (!/^(\d+|\*)$/.test(id))
      throw new AegisError(
        "invalid_request",
        `TELEGRAM_ALLOW_FROM holds "${id}", which is no Telegram user id: give numbers, separated by commas (@userinfobot tells you yours).`,
      );
  if (allowFrom.includes("*") && text(env, "TELEGRAM_OPEN_TO_EVERYONE") !== "yes")
    throw new AegisError(
      "invalid_request",
      "TELEGRAM_ALLOW_FROM is *, so everybody who finds the bot would spend your model's money: say it twice, with TELEGRAM_OPEN_TO_EVERYONE=yes, or give user ids.",
    );
  const groups = groupsOf(env, allowFrom);
  return { token, apiRoot: url(env, "TELEGRAM_API_ROOT", TELEGRAM_API), allowFrom, groups, mode: modeOf(env) };
}

function groupsOf(env: Env, allowFrom: string[]): string[] {
  const groups = list(env, "TELEGRAM_GROUPS");
  for (const id of groups)
    if (!/^-\d+$/.test(id))
      throw new AegisError(
        "invalid_request",
        `TELEGRAM_GROUPS holds "${id}", which is no id of a group: give numbers below 0, such as -1001234567890, separated by commas.`,
      );
  if (groups.length > 0 && allowFrom.length === 0)
    throw new AegisError(
      "invalid_request",
      "TELEGRAM_GROUPS is set but TELEGRAM_ALLOW_FROM is not: say who may talk to the bot in the groups; pairing is for direct messages alone.",
    );
  return groups;
}

function modeOf(env: Env): TelegramMode {
  const wanted = text(env, "TELEGRAM_MODE") ?? "relay";
  const kind = MODES.find((known) => known === wanted);
  switch (kind) {
    case "relay":
    case "polling":
      return { kind };
    case "webhook": {
      const reach = reachOf(env);
      // a tunnel is told the port, a URL was set up by somebody who has to know it
      return { kind, reach, port: port(env, "TELEGRAM_WEBHOOK_PORT", reach.kind === "url" ? WEBHOOK_PORT : 0) };
    }
    case undefined:
      throw new AegisError("invalid_request", `TELEGRAM_MODE is "${wanted}": it must be one of ${MODES.join(", ")}.`);
  }
}

function reachOf(env: Env): PublicReach {
  const command = text(env, "TELEGRAM_TUNNEL_COMMAND");
  if (text(env, "TELEGRAM_PUBLIC_URL") !== null) {
    if (command === null) return { kind: "url", url: publicUrl(env) };
    throw new AegisError(
      "invalid_request",
      "TELEGRAM_PUBLIC_URL and TELEGRAM_TUNNEL_COMMAND are both set: keep the one that leads here.",
    );
  }
  if (command !== null) return { kind: "tunnel", command, urlPattern: urlPattern(env) };
  throw new AegisError(
    "invalid_request",
    "TELEGRAM_MODE is webhook, which needs a public URL: set TELEGRAM_PUBLIC_URL to one that leads to this machine, or TELEGRAM_TUNNEL_COMMAND to a program that opens one, e.g. cloudflared tunnel --no-autoupdate --url http://127.0.0.1:{port}",
  );
}

function publicUrl(env: Env): string {
  const value = url(env, "TELEGRAM_PUBLIC_URL", "");
  const { protocol, hostname, port: number } = new URL(value);
  const local = /^(127\.|localhost$)/.test(hostname);
  if (local || (protocol === "https:" && PUBLIC_PORTS.includes(number))) return value;
  throw new AegisError(
    "invalid_request",
    `TELEGRAM_PUBLIC_URL is "${value}": Telegram posts to https alone, on the ports 443, 80, 88 and 8443.`,
  );
}

function urlPattern(env: Env): string {
  const pattern = text(env, "TELEGRAM_TUNNEL_URL_PATTERN") ?? QUICK_TUNNEL_URL;
  try {
    new RegExp(pattern).exec("");
    return pattern;
  } catch (cause) {
    throw new AegisError(
      "invalid_request",
      `TELEGRAM_TUNNEL_URL_PATTERN is "${pattern}", which is no regular expression: it has to match the URL in what the tunnel prints.`,
      { cause },
    );
  }
}

const list = (env: Env, name: string): string[] =>
  (text(env, name) ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
