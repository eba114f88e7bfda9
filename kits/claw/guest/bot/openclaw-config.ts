import { join } from "node:path";
import type { ChatConfig, ClawConfig } from "../claw-config.ts";
import { llmSections } from "../llm-provider.ts";
import type { PluginConfig } from "../plugin/plugin-config.ts";
import { SANDBOX_BACKEND_ID } from "../plugin/sandbox-backend.ts";
import { sendFile } from "../plugin/send-file.ts";
import type { KeyPlan } from "./key-inside.ts";
import { type BotPaths, openclawDatabase } from "./paths.ts";

const GATEWAY_PORT = 18789;
const WEBHOOK_PORT = 8787;
const WEBHOOK_PATH = "/telegram-webhook";
const BRIDGE_PORT = 8091;
const PLUGIN_ID = "claw-kit";

/** these run in the sandbox of the chat; the others are the gateway's own and touch no files */
const SANDBOXED_TOOLS = ["exec", "process", "read", "ls", "write", "edit"];
/** after a week without a word in the chat its sandbox is deleted */
const SANDBOX_IDLE_HOURS = 168;

const sandboxOfChat = {
  mode: "all",
  backend: SANDBOX_BACKEND_ID,
  // one for each chat
  scope: "session",
  workspaceAccess: "rw",
  prune: { idleHours: SANDBOX_IDLE_HOURS, maxAgeDays: 0 },
};

/** never beside the bot's state, whoever asks for it */
const sandboxedTools = {
  exec: { host: "sandbox" },
  sandbox: { tools: { alsoAllow: [PLUGIN_ID, "work_*", "web_fetch"] } },
};

/**
 * OpenClaw's config of the bot. Its root is strict: a key that this version does not know aborts the start, so every
 * key here is one that `openclaw config validate` of the pinned version accepts.
 */
export function openclawConfig(config: ClawConfig, paths: BotPaths, gatewayToken: string, plan: KeyPlan | null = null) {
  const { models, defaults } = llmSections(config.llm, ownKey(config, plan));
  const pluginConfig: PluginConfig = {
    state_file: join(paths.state, "claw-kit.json"),
    chat: {
      api_root: config.chat.api_root,
      bot_token: config.chat.bot_token,
      bridge_port: BRIDGE_PORT,
      outbox: join(paths.state, "claw-outbox"),
    },
    inbox_file: join(paths.state, "claw-inbox.json"),
    sandbox_file: join(paths.state, "claw-sandboxes.json"),
    unanswered: { folder: join(paths.state, "claw-unanswered"), queue: openclawDatabase(paths.state) },
    llm: config.llm,
    work: config.work,
  };
  return {
    gateway: {
      mode: "local",
      port: GATEWAY_PORT,
      bind: "loopback",
      auth: { mode: "token", token: gatewayToken },
      terminal: { enabled: false },
      reload: { mode: "off" },
    },
    update: { checkOnStart: false },
    telemetry: { enabled: false },
    logging: { file: paths.log, maxFileBytes: 16 * 1024 * 1024 },
    discovery: { mdns: { mode: "off" } },
    browser: { enabled: false },
    models,
    ...(plan === null ? {} : { secrets: { providers: plan.providers } }),
    agents: {
      defaults: {
        ...defaults,
        workspace: paths.agent,
        // each beat wakes the bot and costs a turn, so it is asked for; events wake the model in any case
        heartbeat: { every: `${config.heartbeat_s ?? 0}s` },
        // their files are on the bot's side, where the tools do not get; and each makes the prompt longer
        skills: [],
        ...(config.own_tools ? { sandbox: sandboxOfChat } : {}),
      },
    },
    // one person's messages never reach another's session
    session: { dmScope: "per-channel-peer" },
    // Without own tools the agent has no shell and no files, for a chat could read another chat's through them.
    // Few tools also means a short prompt.
    tools: {
      toolSearch: false,
      profile: "minimal",
      alsoAllow: [PLUGIN_ID, "web_fetch", ...(config.own_tools ? SANDBOXED_TOOLS : [])],
      deny: ["gateway", ...(config.own_tools ? [] : [sendFile.name])],
      elevated: { enabled: false },
      ...(config.own_tools ? sandboxedTools : {}),
    },
    plugins: {
      allow: ["telegram", PLUGIN_ID],
      load: { paths: [join(paths.claw, "plugin")] },
      slots: { memory: "none" },
      entries: {
        [PLUGIN_ID]: { enabled: true, hooks: { allowConversationAccess: true }, config: pluginConfig },
      },
    },
    channels: { telegram: telegramChannel(config.chat) },
  };
}

function ownKey({ key }: ClawConfig, plan: KeyPlan | null) {
  return key === null || plan === null ? undefined : { baseUrl: key.base_url, apiKey: plan.apiKey };
}

function telegramChannel(chat: ChatConfig) {
  return {
    enabled: true,
    botToken: chat.bot_token,
    // the plugin's bridge, which leads to `chat.api_root`
    apiRoot: `http://127.0.0.1:${BRIDGE_PORT}`,
    ...webhook(chat),
    ...groups(chat.groups),
    // no passing "Working ..." messages beside the ones that the plugin edits
    streaming: { mode: "off" },
    // the kit has /stop, /usage and /help of its own, which it only gets to see as text
    commands: { native: false, nativeSkills: false },
    // the instance sleeps between messages, which a health monitor would take for a fault
    healthMonitor: { enabled: false },
    ...access(chat.allow_from),
  };
}

/** Without a webhook OpenClaw polls. */
function webhook({ webhook_url, webhook_secret }: ChatConfig) {
  if (webhook_url === null) return {};
  return {
    webhookUrl: webhook_url,
    webhookSecret: webhook_secret,
    webhookPath: WEBHOOK_PATH,
    webhookHost: "127.0.0.1",
    webhookPort: WEBHOOK_PORT,
  };
}

/** In a group, OpenClaw asks the same list of people as in a direct chat. */
function groups(ids: string[]) {
  if (ids.length === 0) return { groupPolicy: "disabled" };
  return { groupPolicy: "allowlist", groups: Object.fromEntries(ids.map((id) => [id, { requireMention: true }])) };
}

function access(allowFrom: string[] | null) {
  if (allowFrom === null) return { dmPolicy: "pairing" };
  return allowFrom.includes("*") ? { dmPolicy: "open", allowFrom: ["*"] } : { dmPolicy: "allowlist", allowFrom };
}
