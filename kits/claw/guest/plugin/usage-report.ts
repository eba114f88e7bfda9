import type { InstanceStats, InstanceView } from "@aegis/protocol/instance";
import type { LlmConfig } from "../claw-config.ts";
import { durationText } from "./duration.ts";
import type { WorkParts } from "./work-tools.ts";
import type { WorkRecord } from "./work-record.ts";
import { modelUsage, usageText } from "./work-usage.ts";

type Memory = Pick<InstanceStats, "memory_bytes" | "swapped_bytes">;

/** `/usage`: what the bot and the work of a chat took, as the host counts it. */
export async function usageReport({ api, desk, store, price }: WorkParts, session: string): Promise<string> {
  const [self, mine] = await Promise.all([api.self(), desk.existing(store.ofSession(session))]);
  const bot = modelUsage(self);
  const lines = [
    `bot: ${memoryText(self.stats, self.memory_mb)}${bot === null ? "" : `, ${usageText(bot, price)} for all chats`}`,
  ];
  for (const { work } of mine) {
    // use of bindings is not in lists
    const view = await api.get(work.id);
    lines.push(workLine(work, view, price));
  }
  if (mine.length === 0) lines.push("This chat has no work instance.");
  return lines.join("\n");
}

function workLine(work: WorkRecord, view: InstanceView, price: LlmConfig["price"]): string {
  const { state, stats, memory_mb } = view;
  const usage = modelUsage(view);
  return [
    `${work.handle}: ${durationText(work.seconds ?? (Date.now() - Date.parse(work.started_at)) / 1000)}`,
    ...(usage === null || usage.requests === 0 ? [] : [usageText(usage, price)]),
    stats === null
      ? `${state === "hibernated" ? "asleep" : state}, no memory`
      : `${state === "paused" ? "asleep" : "awake"}, ${memoryText(stats, memory_mb)}`,
  ].join(", ");
}

function memoryText(stats: Memory | null, limitMb: number): string {
  if (stats === null) return "no memory";
  const swapped = stats.swapped_bytes === 0 ? "" : ` and ${mb(stats.swapped_bytes)} MB swapped out`;
  return `${mb(stats.memory_bytes)} MB of ${limitMb} MB in memory${swapped}`;
}

const mb = (bytes: number): number => Math.round(bytes / 1024 / 1024);
