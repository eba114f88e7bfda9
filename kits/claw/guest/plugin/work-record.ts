import type { DeliveryContext } from "./openclaw-api.ts";

export type WorkPhase = "running" | "done" | "failed" | "stopped";

/** One work instance and the chat it belongs to. */
export interface WorkRecord {
  id: string;
  handle: string;
  /** OpenClaw's session of the chat that made it: nobody else sees it */
  session: string;
  agent: string | null;
  chat: DeliveryContext | null;
  kind: "task" | "command" | "server";
  title: string;
  memory_mb: number;
  /** address of its first port on this machine, if it has one */
  url: string | null;
  /** RFC 3339; log lines before it belong to something else */
  started_at: string;
  phase: WorkPhase;
  /** how long the work took; absent while it is going on */
  seconds?: number;
  /** the chat message that shows the progress, once there is one */
  progress_message: number | null;
}
