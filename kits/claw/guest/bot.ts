/** First process of the bot instance: writes OpenClaw's config, runs its gateway and ends with its exit code. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { adoptLayout } from "./bot/adopt-layout.ts";
import { tidyAfterKill } from "./bot/after-kill.ts";
import { agentNotes } from "./bot/agent-notes.ts";
import { configTrouble } from "./bot/config-trouble.ts";
import { heapLimitMb } from "./bot/heap.ts";
import { KEY_ENV, keyPlan } from "./bot/key-inside.ts";
import { openclawConfig } from "./bot/openclaw-config.ts";
import { botPaths } from "./bot/paths.ts";
import { readClawConfig } from "./claw-config.ts";
import { openclawScript } from "./bot/openclaw-script.ts";

const config = readClawConfig(process.env);
const paths = botPaths(process.env["CLAW_WORKSPACE"] ?? "/workspace", import.meta.dirname);

const moved = adoptLayout(dirname(paths.state));
if (moved !== null) process.stdout.write(`[claw] ${moved}\n`);
mkdirSync(paths.state, { recursive: true, mode: 0o700 });
mkdirSync(paths.agent, { recursive: true });
const untidy = tidyAfterKill(paths.state);
if (untidy !== null) process.stdout.write(`[claw] ${untidy}\n`);
mkdirSync(dirname(paths.log), { recursive: true });
const key = process.env[KEY_ENV];
const plan =
  config.key === null || key === undefined
    ? null
    : keyPlan(config.key, key, { state: paths.state, boot: dirname(paths.log) });
if (plan?.inEnv !== true) delete process.env[KEY_ENV];
if (plan?.file) {
  mkdirSync(dirname(plan.file.path), { recursive: true, mode: 0o700 });
  writeWhole(plan.file.path, plan.file.text);
}
putForeignConfigAside(paths.config);
const gatewayToken = randomBytes(24).toString("base64url");
writeWhole(paths.config, JSON.stringify(openclawConfig(config, paths, gatewayToken, plan), null, 2));
writeWhole(join(paths.agent, "AGENTS.md"), agentNotes(config.own_tools));

// The gateway takes this process's place: its signals, its exit code, and 50 MB less.
process.execve?.(process.execPath, [process.execPath, await openclawScript(process.env), "gateway", "run"], {
  ...textsOf(process.env),
  HOME: process.env["HOME"] ?? "/root",
  OPENCLAW_STATE_DIR: paths.state,
  OPENCLAW_CONFIG_PATH: paths.config,
  OPENCLAW_NO_RESPAWN: "1",
  NO_COLOR: "1",
  OPENCLAW_DISABLE_BONJOUR: "1",
  NODE_OPTIONS: `--max-old-space-size=${heapLimitMb(config.memory_mb)}`,
});

/** Variables as `execve` takes them. */
function textsOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** OpenClaw would not start with it; the kit's own takes its place. */
function putForeignConfigAside(path: string): void {
  const trouble = existsSync(path) ? configTrouble(readFileSync(path, "utf8")) : null;
  if (trouble === null) return;
  renameSync(path, `${path}.before`);
  process.stdout.write(
    `[claw] openclaw.json, ${trouble}: the kit's own takes its place, that one is openclaw.json.before\n`,
  );
}

/** A reader, or a crash in the middle, sees the old file or the new one. */
function writeWhole(path: string, text: string): void {
  const next = `${path}.next`;
  writeFileSync(next, text, { mode: 0o600 });
  renameSync(next, path);
}
