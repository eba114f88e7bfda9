import { randomUUID } from "node:crypto";
import { GuestApi } from "./guest-api.ts";
import { type ChatCommand, chatCommands, ChatCommands } from "./chat-commands.ts";
import { Inbox } from "./inbox.ts";
import type { DeliveryContext, OpenClawApi } from "./openclaw-api.ts";
import type { PluginConfig } from "./plugin-config.ts";
import { SandboxDesk } from "./sandbox-desk.ts";
import { SandboxStore } from "./sandbox-store.ts";
import { StayAwake } from "./stay-awake.ts";
import { TelegramChat } from "./telegram-chat.ts";
import { openclawQueue } from "./openclaw-queue.ts";
import { chatOfSession, isSessionOf } from "./session-chat.ts";
import { TurnAwake } from "./turn-awake.ts";
import { type Message, UnansweredMessages } from "./unanswered-messages.ts";
import { type Client, WorkDesk } from "./work-desk.ts";
import { WorkStore } from "./work-store.ts";
import { WorkTeller } from "./work-teller.ts";
import { WorkFiles } from "./work-files.ts";
import { WorkLinks } from "./work-links.ts";
import { runTool, toolSpecs, type WorkParts } from "./work-tools.ts";
import { WorkWatcher } from "./work-watcher.ts";

const MIN_EDIT_MS = 1500;
/** who holds the bot awake */
const OWING = "messages that were cut off";

/** Everything that lives as long as the gateway, put together once. */
export interface Kit {
  sandboxes: SandboxDesk;
  unanswered: UnansweredMessages;
  runTool(name: string, client: Client, params: Record<string, unknown>, signal?: AbortSignal): Promise<string>;
  runCommand(command: ChatCommand, args: string, client: Client & { chat: DeliveryContext }): Promise<void>;
  /** What somebody has sent in a chat. */
  received(session: string, paths: readonly string[]): void;
  pressed(payload: string, chat: DeliveryContext, message: number): Promise<void>;
  /** Takes up the work that was going on when the gateway ended. */
  start(): void;
  stop(): Promise<void>;
}

export function createKit(openclaw: OpenClawApi, config: PluginConfig, guestApi: string): Kit {
  const onError = (what: string, error: unknown) =>
    openclaw.logger.warn(`claw-kit: ${what}: ${error instanceof Error ? error.message : String(error)}`);
  const api = new GuestApi(guestApi);
  const store = new WorkStore(config.state_file);
  const inbox = new Inbox(config.inbox_file);
  const awake = new StayAwake(api, (error) => onError("keeping awake", error));
  const chat = new TelegramChat(config.chat.api_root, config.chat.bot_token);
  const links = new WorkLinks(api);
  const files = new WorkFiles({ api, chat, onError });
  const { price } = config.llm;
  const audience = new WorkTeller({
    api,
    chat,
    store,
    links,
    files,
    price,
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
  const desk = new WorkDesk(api, store, config, inbox);
  const turns = new TurnAwake(awake);
  const unanswered = unansweredMessages(openclaw, config, chat, awake);
  const sandboxes = new SandboxDesk(api, new SandboxStore(config.sandbox_file), config.work);
  const parts: WorkParts = { api, store, desk, links, files, watcher, sandboxes, price };
  const commands = new ChatCommands(parts, chat);
  let stopListening: (() => void) | undefined;
  return {
    sandboxes,
    unanswered,
    runTool: async (name, client, params, signal) => {
      const spec = toolSpecs.find((tool) => tool.name === name);
      return spec === undefined ? `There is no tool ${name}.` : await runTool(spec, parts, client, params, signal);
    },
    runCommand: (command, args, client) => commands.run(command, args, client),
    received: (session, paths) => inbox.remember(session, paths),
    pressed: (payload, where, message) => commands.pressed(payload, where, message),
    start: () => {
      chat.setMenu(chatCommands).catch((error: unknown) => onError("the menu of commands", error));
      stopListening = openclaw.runtime.events.onAgentEvent((event) => {
        turns.seen(event);
        unanswered.seen(event);
      });
      unanswered.start();
      for (const work of store.running()) watcher.watch(work);
    },
    stop: async () => {
      stopListening?.();
      turns.close();
      unanswered.close();
      awake.close();
      await watcher.close();
    },
  };
}

function unansweredMessages(openclaw: OpenClawApi, config: PluginConfig, chat: TelegramChat, awake: StayAwake) {
  const { agent, subagent } = openclaw.runtime;
  const warn = (text: string) => openclaw.logger.warn(`claw-kit: ${text}`);
  return new UnansweredMessages({
    folder: config.unanswered.folder,
    warn,
    queued: (patienceMs) => {
      const queue = openclawQueue(config.unanswered.queue, patienceMs);
      return ({ session, message }: Message) =>
        queue.some((queued) => queued.message === message && isSessionOf(session, queued.chat));
    },
    isRunning: (sessionKey) => agent.session.getSessionEntry({ sessionKey })?.status === "running",
    ask: async (sessionKey, message) => {
      await subagent.run({ sessionKey, message, deliver: true, idempotencyKey: `claw-kit-${randomUUID()}` });
    },
    tell: async (session, text, name) => {
      const to = chatOfSession(session);
      if (to !== null) await chat.send(to, text, [], name);
    },
    onOwing: (owing) => (owing ? awake.hold(OWING, "messages wait for an answer") : awake.release(OWING)),
  });
}
