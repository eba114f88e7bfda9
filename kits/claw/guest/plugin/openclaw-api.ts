import type { IncomingMessage, ServerResponse } from "node:http";

/** The part of OpenClaw's plugin API (2026.9) that this plugin uses; the package's own types cannot be imported here. */
export interface OpenClawApi {
  pluginConfig?: Record<string, unknown>;
  /** `full`: the gateway is to use what is registered, and does not only look what there is */
  registrationMode?: string;
  lifecycle?: {
    registerRuntimeLifecycle(lifecycle: {
      id: string;
      cleanup(end: { reason: string; sessionKey?: string; runId?: string }): void;
    }): void;
  };
  logger: PluginLogger;
  runtime: {
    system: {
      enqueueSystemEvent(
        text: string,
        options: { sessionKey: string; agentId?: string; contextKey?: string; deliveryContext?: DeliveryContext },
      ): unknown;
      requestHeartbeat(request: {
        source: string;
        intent: string;
        reason: string;
        sessionKey: string;
        agentId?: string;
      }): void;
    };
    events: { onAgentEvent(listener: (event: AgentEvent) => void): (() => void) | undefined };
    agent: { session: { getSessionEntry(of: { sessionKey: string }): SessionEntry | undefined } };
    subagent: {
      /** A turn of any session; with `deliver` what comes of it goes where its last answer went. */
      run(turn: { sessionKey: string; message: string; deliver: boolean; idempotencyKey: string }): Promise<unknown>;
    };
  };
  registerTool(factory: (context: ToolContext) => AgentTool, options: { name: string }): void;
  registerCommand(command: Command): void;
  registerInteractiveHandler(handler: InteractiveHandler): void;
  on(hook: "before_dispatch", listener: (event: InboundEvent, context: HookContext) => Promise<Claim> | Claim): void;
  on(hook: "message_received", listener: (event: InboundEvent, context: HookContext) => void): void;
  on(hook: "before_tool_call", listener: (call: ToolCall, context: HookContext) => ToolCallChange | undefined): void;
  on(
    hook: "before_message_write",
    listener: (event: { message: TranscriptMessage }, context: HookContext) => void,
  ): void;
  on(
    hook: "before_prompt_build",
    listener: (event: { prompt: string }, context: HookContext) => { prependContext: string } | undefined,
  ): void;
  registerHttpRoute(route: HttpRoute): void;
  registerService(service: { id: string; start(): void | Promise<void>; stop(): void | Promise<void> }): void;
}

export interface SessionEntry {
  status?: string;
  /** what `/exec host=...` has set */
  execHost?: string;
}

/** On the gateway's port. `auth: "gateway"` asks for the gateway's token; true: it is answered. */
export interface HttpRoute {
  path: string;
  auth: "gateway" | "plugin";
  match: "exact" | "prefix";
  gatewayRuntimeScopeSurface?: "trusted-operator";
  handler(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

export interface PluginLogger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Where answers to a chat go: `{channel: "telegram", to: "telegram:42"}`. */
export interface DeliveryContext {
  channel?: string;
  to?: string;
  accountId?: string;
  threadId?: string | number;
}

export interface AgentEvent {
  runId: string;
  sessionKey?: string;
  stream: string;
  data: Record<string, unknown>;
}

export interface ToolContext {
  sessionKey?: string;
  agentId?: string;
  deliveryContext?: DeliveryContext;
}

export interface AgentTool {
  name: string;
  label: string;
  description: string;
  /** JSON schema */
  parameters: Record<string, unknown>;
  execute(callId: string, params: Record<string, unknown>, signal?: AbortSignal): Promise<ToolResult>;
}

export interface ToolResult {
  content: { type: "text"; text: string }[];
  details?: unknown;
}

export interface Command {
  name: string;
  description: string;
  acceptsArgs: boolean;
  handler(context: CommandContext): Promise<{ suppressReply: true }>;
}

export interface CommandContext {
  sessionKey?: string;
  agentId?: string;
  channel?: string;
  /** `telegram:42` */
  to?: string;
  accountId?: string;
  messageThreadId?: number;
  args?: string;
}

/** Buttons whose data begins with `namespace:`. */
export interface InteractiveHandler {
  channel: "telegram";
  namespace: string;
  handler(press: Press): Promise<{ handled: boolean }>;
}

export interface Press {
  accountId?: string;
  threadId?: number;
  auth: { isAuthorizedSender: boolean };
  callback: { payload: string; messageId: number; chatId: string };
}

/** What somebody said, before anything has been made of it. */
export interface InboundEvent {
  content?: string;
  /** as the messenger numbers it */
  messageId?: string;
  sessionKey?: string;
  threadId?: string | number;
  /** what came with it, on disk */
  media?: { path?: string }[];
}

export interface HookContext {
  channelId?: string;
  accountId?: string;
  /** `42`, or `-100123:topic:5` */
  conversationId?: string;
  sessionKey?: string;
  runId?: string;
}

/** As it is about to be written into a transcript. */
export interface TranscriptMessage {
  role: string;
  content?: string | { text?: string }[];
  idempotencyKey?: string;
  __openclaw?: { transport?: { messageId?: string } };
}

/** `handled`: neither OpenClaw's own commands nor the model get it. */
export type Claim = { handled: true } | undefined;

/** Before a tool runs. */
export interface ToolCall {
  toolName: string;
  params: Record<string, unknown>;
}

/** The call is made with other parameters, or not at all: the model is told why. */
export type ToolCallChange = { params: Record<string, unknown> } | { block: true; blockReason: string };
