import { GuestApi } from "./guest-api.ts";
import type { CommandContext, OpenClawApi } from "./openclaw-api.ts";
import type { PluginConfig } from "./plugin-config.ts";
import { StayAwake } from "./stay-awake.ts";
import { TelegramChat } from "./telegram-chat.ts";
import { TurnAwake } from "./turn-awake.ts";
import { type Client, WorkDesk } from "./work-desk.ts";
import { WorkStore } from "./work-store.ts";
import { WorkTeller } from "./work-teller.ts";
import { workCommand } from "./work-command.ts";
import { runTool, toolSpecs, type WorkParts } from "./work-tools.ts";
import { WorkWatcher } from "./work-watcher.ts";

const MIN_EDIT_MS = 1500;

/** Everything that lives as long as the gateway, put together once. */
export interface Kit {
  runTool(name: string, client: Client, params: Record<string, unknown>, signal?: AbortSignal): Promise<string>;
  runCommand(context: CommandContext): Promise<string>;
  /** Takes up the work that was going on when the gateway ended. */
  start(): void;
  stop(): Promise<void>;
}

export function createKit(openclaw: OpenClawApi, config: PluginConfig, guestApi: string): Kit {
  const onError = (what: string, error: unknown) =>
    openclaw.logger.warn(`claw-kit: ${what}: ${error instanceof Error ? error.message : String(error)}`);
  const api = new GuestApi(guestApi);
  const store = new WorkStore(config.state_file);
  const awake = new StayAwake(api, (error) => onError("keeping awake", error));
  const audience = new WorkTeller({
    chat: new TelegramChat(config.chat.api_root, config.chat.bot_token),
    store,
    minEditMs: MIN_EDIT_MS,
    onError,
    informAgent: (work, text, wake) => {
      const agent = work.agent === null ? {} : { agentId: work.agent };
      const { system } = openclaw.runtime;
      system.enqueueSystemEvent(text, {
        sessionKey: work.session,
        contextKey: `claw-kit:${work.id}`,
        ...agent,
        ...(work.chat === null ? {} : { deliveryContext: work.chat }),
      });
      if (wake)
        system.requestHeartbeat({
          source: "background-task",
          intent: "event",
          reason: "claw-kit",
          sessionKey: work.session,
          ...agent,
        });
    },
  });
  const watcher = new WorkWatcher({ api, store, awake, audience, onError });
  const desk = new WorkDesk(api, store, config);
  const turns = new TurnAwake(awake);
  const parts: WorkParts = { api, store, desk, watcher };
  let stopListening: (() => void) | undefined;
  return {
    runTool: async (name, client, params, signal) => {
      const spec = toolSpecs.find((tool) => tool.name === name);
      return spec === undefined ? `There is no tool ${name}.` : await runTool(spec, parts, client, params, signal);
    },
    runCommand: (context) => workCommand(parts, context),
    start: () => {
      stopListening = openclaw.runtime.events.onAgentEvent((event) => turns.seen(event));
      for (const work of store.running()) watcher.watch(work);
    },
    stop: async () => {
      stopListening?.();
      turns.close();
      awake.close();
      await watcher.close();
    },
  };
}
