import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import type { LogLine } from "@aegis/protocol/exec";
import type { InstanceView } from "@aegis/protocol/instance";
import { aegisHome, socketPathOf } from "@aegis/sdk/aegis-home";
import { AegisClient } from "@aegis/sdk/client";
import { runningDaemon } from "@aegis/sdk/daemon-process";
import type { Env } from "../setting-values.ts";
import { loadSettings, type Settings } from "../settings.ts";
import { reachModel } from "../setup/check-model.ts";
import { checkTelegram } from "../setup/check-telegram.ts";
import { SANDBOX_PREFIX } from "../../guest/plugin/sandbox-desk.ts";
import { findBot } from "../up-bot.ts";
import { type UpHolder, UpLock } from "../up-lock.ts";
import type { UpState } from "../up-state.ts";
import { lastError } from "./last-error.ts";
import { lastState, modelOfBot, modelOfSettings, type ModelInUse } from "./model-in-use.ts";

/** One of the five lines. */
export interface Finding {
  part: "aegisd" | "bot" | "chat" | "model" | "errors";
  ok: boolean;
  text: string;
  /** what to do; null where there is nothing to be done */
  fix: string | null;
}

const LOG_LINES = 400;
/** an error that is older says nothing of now */
const RECENT_MS = 24 * 3600 * 1000;

/** Five lines that say whether it works, and what to do if not. @returns 0 when all is well, else 1 */
export async function status(
  args: string[],
  { env, print }: { env: Env; print: (text: string) => void },
): Promise<number> {
  const { json, settings: named } = options(args);
  const home = aegisHome(env);
  const folder = join(home, "claw");
  const settings = loadSettings(env, named === undefined ? join(folder, "settings.env") : resolve(named));
  const found = await findings(home, settings, UpLock.holder(folder), lastState(folder));
  print(json === true ? JSON.stringify(found) : found.map(lineOf).join("\n"));
  return found.every(({ ok }) => ok) ? 0 : 1;
}

async function findings(
  home: string,
  settings: Settings,
  holder: UpHolder | null,
  state: UpState | null,
): Promise<Finding[]> {
  const daemon = await runningDaemon(home);
  const client = new AegisClient({ socketPath: socketPathOf(home) });
  const bot = daemon === null ? null : await findBot(client);
  const [chat, model, errors] = await Promise.all([
    chatFinding(settings, holder),
    modelFinding(holder === null || state === null ? modelOfSettings(settings) : modelOfBot(state)),
    recent(client, bot),
  ]);
  const aegisd: Finding =
    daemon === null
      ? bad("aegisd", "does not run", "aegis kit up claw")
      : good(
          "aegisd",
          `runs, pid ${daemon.pid}${daemon.disk.low ? "; the disk is nearly full: aegis image prune" : ""}`,
        );
  const isDown = daemon === null && (state?.bot ?? null) !== null;
  const tools = bot === null ? null : await ownTools(client, settings, bot);
  return [
    aegisd,
    isDown
      ? bad("bot", "is down, as aegisd does not run", "aegis kit up claw")
      : withNote(botFinding(bot, holder), tools),
    chat,
    model,
    errors,
  ];
}

/** Where the tools of the bot's own agent run. */
async function ownTools(client: AegisClient, { own_tools }: Settings, bot: InstanceView): Promise<string> {
  if (!own_tools) return "no tools of its own";
  const children = await client.instances.list({ parentId: bot.id });
  const sandboxes = children.filter(({ handle }) => handle.startsWith(SANDBOX_PREFIX)).length;
  return `its own tools have ${sandboxes === 1 ? "1 sandbox" : `${sandboxes} sandboxes`}`;
}

const withNote = (finding: Finding, note: string | null): Finding =>
  finding.ok && note !== null ? { ...finding, text: `${finding.text}; ${note}` } : finding;

function botFinding(bot: InstanceView | null, holder: UpHolder | null): Finding {
  if (bot === null) return bad("bot", "there is none yet", "aegis kit up claw");
  if (!bot.enabled) return bad("bot", "is disabled: nothing wakes it", "aegis kit up claw");
  switch (bot.state) {
    case "running":
      return good("bot", holder !== null && holder.ready !== true ? "is starting" : "is awake");
    case "starting":
      return good("bot", "is starting");
    case "paused":
    case "hibernated":
      return good("bot", "sleeps, and wakes on a message");
    case "stopped":
      return holder === null
        ? bad("bot", "is stopped, as the kit does not run", "aegis kit up claw")
        : good("bot", "is stopped, and boots on a message");
    case "failed":
      return bad(
        "bot",
        `has failed: ${bot.failure ?? "no reason is known"}`,
        "aegis logs claw-bot, then aegis kit up claw",
      );
  }
}

async function chatFinding({ telegram }: Settings, holder: UpHolder | null): Promise<Finding> {
  const up = "aegis kit up claw";
  if (telegram === null) {
    if (holder === null) return bad("chat", "the kit does not run, so nobody can write", up);
    return good("chat", holder.url ?? "the page comes up, or the kit was started with a token of its environment");
  }
  try {
    const name = await checkTelegram(telegram);
    return holder === null
      ? bad("chat", `Telegram answers for ${name}, but the kit does not run: messages wait there`, up)
      : good("chat", `Telegram answers for ${name}, messages come by ${telegram.mode.kind}`);
  } catch (error) {
    if (!(error instanceof AegisError)) throw error;
    return bad(
      "chat",
      error.message,
      error.code === "unauthorized" ? "aegis kit setup claw" : "messages wait at Telegram",
    );
  }
}

async function modelFinding(model: ModelInUse | null): Promise<Finding> {
  if (model === null) return good("model", "the offline demo; aegis kit setup claw sets a real one");
  const why = await reachModel(model);
  if (why === null) return good("model", `${model.model}, ${new URL(model.baseUrl).host} answers`);
  return bad(
    "model",
    `${new URL(model.baseUrl).host} cannot be reached (${why})`,
    "is the network up, and the address right?",
  );
}

async function recent(client: AegisClient, bot: InstanceView | null): Promise<Finding> {
  const lines: LogLine[] = [];
  if (bot !== null) for await (const line of client.instances.logs(bot.id, { tail: LOG_LINES })) lines.push(line);
  const last = lastError(lines);
  if (last === null || Date.now() - Date.parse(last.at) > RECENT_MS) return good("errors", "none of late");
  return { part: "errors", ok: true, text: `last at ${last.at}: ${last.raw}`, fix: last.words };
}

function options(args: string[]) {
  try {
    return parseArgs({ args, options: { json: { type: "boolean" }, settings: { type: "string" } } }).values;
  } catch (cause) {
    const why = messageOf(cause);
    throw new AegisError("invalid_request", `${why}: aegis kit status claw [--json] [--settings FILE]`, { cause });
  }
}

const good = (part: Finding["part"], text: string): Finding => ({ part, ok: true, text, fix: null });
const bad = (part: Finding["part"], text: string, fix: string): Finding => ({ part, ok: false, text, fix });

const lineOf = ({ part, ok, text, fix }: Finding): string =>
  `${ok ? "ok " : "BAD"}  ${part.padEnd(7)} ${text}${fix === null ? "" : `  ->  ${fix}`}`;
