import { modelFailure, type ModelRefusal } from "./model-failure.ts";

/** What `openclaw agent exec --json` prints. */
export interface AgentEnvelope {
  ok: boolean;
  status: string;
  final?: string | null;
  error?: { message?: string; kind?: string };
}

/** @returns null when the output is not an envelope: the process died before it could say anything */
export function parseEnvelope(output: string): AgentEnvelope | null {
  const start = output.indexOf("{");
  if (start === -1) return null;
  try {
    const value: unknown = JSON.parse(output.slice(start));
    return typeof value === "object" && value !== null && "ok" in value ? (value as AgentEnvelope) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

interface AgentEnd {
  envelope: AgentEnvelope | null;
  code: number | null;
  killedBy: NodeJS.Signals | null;
  /** what the model's provider said last, when it said no */
  refusal: ModelRefusal | null;
}

/** Why the agent failed, in words for the person who gave it the task. */
export function agentFailure({ envelope, code, killedBy, refusal }: AgentEnd): string {
  if (killedBy === "SIGKILL" || code === 137)
    return "the agent was killed, most likely because it ran out of memory. Ask for more memory to try again.";
  if (envelope?.status === "timeout")
    return "the agent took longer than an hour and was ended. Ask for less at a time.";
  const model = refusal === null ? null : modelFailure(refusal);
  if (model !== null) return model;
  const message = envelope?.error?.message ?? envelope?.final;
  if (message !== undefined && message !== null && message !== "") return `the agent gave up: ${message}`;
  return killedBy === null ? `the agent ended with exit code ${code ?? 1}.` : `the agent was ended by ${killedBy}.`;
}
