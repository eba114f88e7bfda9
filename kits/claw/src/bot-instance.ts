import type { Binding } from "@aegis/protocol/binding";
import type { CreateInstance, PauseHook } from "@aegis/protocol/instance";
import { CLAW_CONFIG_ENV, type ChatConfig, type ClawConfig } from "../guest/claw-config.ts";
import { MAX_SANDBOXES, SANDBOX_MEMORY_MB } from "../guest/plugin/sandbox-desk.ts";
import { keyAccess } from "./key-access.ts";
import { llmAccess, type StoredSecret } from "./llm-access.ts";
import type { Settings } from "./settings.ts";

export const BOT_HANDLE = "claw-bot";
/** loopback ports inside the bot; the host dials the webhook's */
export const TELEGRAM_BINDING_PORT = 8081;
export const LLM_BINDING_PORT = 8082;
const OWN_KEY_BINDING_PORT = 8083;
export const WEBHOOK_PORT = 8787;
export const WEBHOOK_PATH = "/telegram-webhook";
/** what OpenClaw shows as the bot's token; the relay answers to it and knows the real one */
export const PLACEHOLDER_BOT_TOKEN = "100000001:held-by-the-host-not-a-real-token";

export const RELAY_KEY_SECRET = "claw-relay-key";
const RELAY_KEY_HEADER = "x-aegis-relay-key";
/** Telegram id of the one user of the local chat page */
export const LOCAL_USER_ID = 42;

/** A gateway in the middle of something says so; one that agrees begins nothing before it is frozen, and goes on by itself. */
const PAUSE_HOOK: PauseHook = { command: ["node", "/opt/claw/pause.mjs"], timeout_s: 20 };

/** for `openclaw` on the command line of the bot; the gateway is told the same */
const OPENCLAW_STATE = {
  OPENCLAW_STATE_DIR: "/workspace/state",
  OPENCLAW_CONFIG_PATH: "/workspace/state/openclaw.json",
};

const MAX_WORK = 8;
const MAX_CHILD_PORTS = 8;
const MAX_CHILD_VCPUS = 2;

/** What the kit's other parts have to say about the bot instance. */
export interface BotSurroundings {
  /** reference of the claw image, for the bot and for its work instances */
  image: string;
  /** workspace of the bot, a name or a host path */
  workspace: string;
  /** version of OpenClaw in the image */
  openclaw: string;
  /** Bot API of the relay on the host, e.g. `http://127.0.0.1:41001` */
  botApiUrl: string;
  /** the relay takes requests with this key only; the host adds it, the bot never sees it */
  relayKey: string;
  /** shared by the relay and the bot's webhook listener */
  webhookSecret: string;
  /** base URL of the demo model on the host, without `/v1`; needed when the settings say `demo` */
  demoModelUrl: string | null;
}

export interface BotInstance {
  create: CreateInstance;
  /** to be stored on the host before the instance starts */
  secrets: StoredSecret[];
  /** the secret that the bot itself has, as its settings want; null: none */
  ownKey: string | null;
}

/** The bot instance as the host API wants it. Nothing in it is a secret: those are in `secrets`, by name. */
export function botInstance(settings: Settings, around: BotSurroundings): BotInstance {
  const access = llmAccess(settings.llm, around.demoModelUrl, LLM_BINDING_PORT);
  const own = keyAccess(settings, around.openclaw, OWN_KEY_BINDING_PORT);
  const telegram: Binding = {
    name: "telegram",
    port: TELEGRAM_BINDING_PORT,
    upstream: around.botApiUrl,
    headers: { [RELAY_KEY_HEADER]: `\${secret:${RELAY_KEY_SECRET}}` },
  };
  const { work, bot } = settings;
  const config: ClawConfig = {
    chat: chatConfig(settings, around),
    llm: access.config,
    work: { image: around.image, ...work },
    memory_mb: bot.memory_mb,
    heartbeat_s: settings.heartbeat_s,
    own_tools: settings.own_tools,
    key: own?.config ?? null,
  };
  const create: CreateInstance = {
    handle: BOT_HANDLE,
    image_ref: around.image,
    command: ["node", "/opt/claw/bot.mjs"],
    env: { [CLAW_CONFIG_ENV]: JSON.stringify(config), ...OPENCLAW_STATE },
    workspace: around.workspace,
    pause_hook: PAUSE_HOOK,
    // a bot that sleeps, or is changed, does not take the work and the sites along
    orphans: "keep",
    exposes: [{ port: WEBHOOK_PORT, protocol: "tcp" }],
    ...bot,
    // what it has taken and not answered is in its own queue, so the next message must not be what starts it again
    restart: "always",
    // OpenClaw's own clocks take more of a processor than an idle instance may, where it is slow or shared; whether it is in
    // the middle of something, it says itself, when it is asked and by the leases of its turns
    idle_policy: "leases_only",
    bindings: [telegram, access.binding, ...(own === null ? [] : [own.binding])],
    ...(own === null ? {} : { secrets: own.secrets }),
    capabilities: {
      spawn: true,
      spawn_depth: 1,
      max_children: MAX_WORK + (settings.own_tools ? MAX_SANDBOXES : 0),
      allowed_images: ["*"],
      max_memory_mb: work.max_memory_mb,
      max_vcpus: Math.max(MAX_CHILD_VCPUS, work.vcpus),
      max_expose_ports: MAX_CHILD_PORTS,
      allowed_bindings: [access.binding.name],
      allowed_workspaces: settings.own_tools ? ["work-*", "sandbox-*"] : ["work-*"],
      ...(settings.own_tools
        ? { tree: { memory_mb: MAX_WORK * work.max_memory_mb + MAX_SANDBOXES * SANDBOX_MEMORY_MB } }
        : {}),
      allowed_network: ["*"],
    },
  };
  return {
    create,
    secrets: [{ name: RELAY_KEY_SECRET, value: around.relayKey }, ...access.secrets],
    ownKey: own?.stored ?? null,
  };
}

function chatConfig(settings: Settings, around: BotSurroundings): ChatConfig {
  return {
    api_root: `http://127.0.0.1:${TELEGRAM_BINDING_PORT}`,
    bot_token: PLACEHOLDER_BOT_TOKEN,
    // never resolved: the relay answers setWebhook itself
    webhook_url: settings.telegram?.mode.kind === "polling" ? null : `https://relay.invalid${WEBHOOK_PATH}`,
    webhook_secret: around.webhookSecret,
    allow_from: allowFrom(settings),
    groups: settings.telegram?.groups ?? [],
  };
}

/** The local page has one user, whom the host has let in. */
function allowFrom({ telegram }: Settings): string[] | null {
  if (telegram === null) return [String(LOCAL_USER_ID)];
  return telegram.allowFrom.length === 0 ? null : telegram.allowFrom;
}
