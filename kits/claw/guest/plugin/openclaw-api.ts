/** The part of OpenClaw's plugin API (2026.9) that this plugin uses; the package's own types cannot be imported here. */
export interface OpenClawApi {
  pluginConfig?: Record<string, unknown>;
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
  };
  registerTool(factory: (context: ToolContext) => AgentTool, options: { name: string }): void;
  registerCommand(command: Command): void;
  registerService(service: { id: string; start(): void | Promise<void>; stop(): void | Promise<void> }): void;
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
  handler(context: CommandContext): Promise<{ text: string }>;
}

export interface CommandContext {
  sessionKey?: string;
  args?: string;
}
