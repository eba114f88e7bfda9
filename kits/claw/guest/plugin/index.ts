/** Entry of the OpenClaw plugin `claw-kit`: tools, commands, and a service that watches the work that is going on. */
import { dispatchGatewayMethod } from "openclaw/plugin-sdk/gateway-method-runtime";
import * as sandboxSdk from "openclaw/plugin-sdk/sandbox";
import { startBotApiBridge } from "./bot-api-bridge.ts";
import { createKit, type Kit } from "./kit.ts";
import type { OpenClawApi } from "./openclaw-api.ts";
import { registerUnanswered } from "./register-unanswered.ts";
import { registerPauseRoute } from "./pause-route.ts";
import type { PluginConfig } from "./plugin-config.ts";
import { registerCommands } from "./register-commands.ts";
import { SANDBOX_BACKEND_ID, sandboxBackend, sandboxedCall } from "./sandbox-backend.ts";
import { isSessionOf } from "./session-chat.ts";
import { agentTool, toolSpecs } from "./work-tools.ts";

const DEFAULT_GUEST_API = "http://127.0.0.1:7777";

/**
 * OpenClaw copies a plugin and imports it more than once into one process (for the gateway, for the tools of a turn),
 * so that a variable of this module would exist more than once too. The kit, which owns a file, must not.
 */
const place: { [key: symbol]: Kit | undefined } = globalThis;
const KIT = Symbol.for("aegis.claw-kit");
const bridges: { [key: symbol]: boolean | undefined } = globalThis;
const BRIDGE = Symbol.for("aegis.claw-kit.bot-api-bridge");

function register(api: OpenClawApi): void {
  const config = api.pluginConfig as PluginConfig | undefined;
  // OpenClaw reads plugins for their names too, without a config
  const kit = () => kitOf(api, config);
  if (config?.chat !== undefined) openBridge(api, config, kit);
  for (const spec of toolSpecs)
    api.registerTool((context) => agentTool(spec, context, (...call) => kit().runTool(...call)), { name: spec.name });
  registerCommands(api, kit);
  registerUnanswered(api, kit);
  registerPauseRoute(api, dispatchGatewayMethod);
  api.on("before_tool_call", (call, { sessionKey }) => sandboxedCall(call, execPlaceOf(api, sessionKey)));
  if (api.registrationMode === "full") offerSandbox(api, kit);
  api.registerService({
    id: "claw-kit-watcher",
    start: () => kit().start(),
    stop: async () => {
      const ending = kit();
      place[KIT] = undefined;
      await ending.stop();
    },
  });
}

const execPlaceOf = ({ runtime }: OpenClawApi, sessionKey: string | undefined): string | undefined =>
  sessionKey === undefined ? undefined : runtime.agent.session.getSessionEntry({ sessionKey })?.execHost;

/** The tools of the bot's own agent find their machine through it. */
function offerSandbox(api: OpenClawApi, kit: () => Kit): void {
  const withdraw = sandboxSdk.registerSandboxBackend(
    SANDBOX_BACKEND_ID,
    sandboxBackend(sandboxSdk, guestApi(), () => kit().sandboxes),
  );
  api.lifecycle?.registerRuntimeLifecycle({
    id: "claw-kit-sandbox",
    cleanup: ({ reason, sessionKey, runId }) => {
      if (sessionKey === undefined && runId === undefined && (reason === "disable" || reason === "restart")) withdraw();
    },
  });
}

/** Channels start after the plugins, so it is there before the first call. */
function openBridge({ logger }: OpenClawApi, { chat }: PluginConfig, kit: () => Kit): void {
  if (bridges[BRIDGE] === true) return;
  bridges[BRIDGE] = true;
  const warn = (text: string) => logger.warn(`claw-kit: ${text}`);
  const onKept = (id: string) => kit().unanswered.handedOver((session) => isSessionOf(session, id));
  startBotApiBridge({ port: chat.bridge_port, target: chat.api_root, outbox: chat.outbox, warn, onKept });
}

function kitOf(api: OpenClawApi, config: PluginConfig | undefined): Kit {
  if (config?.state_file === undefined) throw new Error("claw-kit: plugins.entries.claw-kit.config is missing");
  return (place[KIT] ??= createKit(api, config, guestApi()));
}

const guestApi = (): string => process.env["AEGIS_GUEST_API"] ?? DEFAULT_GUEST_API;

export default { id: "claw-kit", name: "Claw Kit", description: "Work instances for heavy jobs", register };
