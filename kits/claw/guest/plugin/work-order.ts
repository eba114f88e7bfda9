import type { NetworkPolicy } from "@aegis/protocol/network";
import { optionalDuration, optionalNetwork, optionalText, optionalWhole, portList, textList } from "./tool-params.ts";
import { WorkRefused } from "./work-refused.ts";

/** What a chat asks for. */
export type WorkOrder = {
  image: string | null;
  memoryMb: number | null;
  name: string | null;
  ports: number[];
  /** of the chat, to be brought along */
  files: string[];
  /** null: all that the bot may give */
  network: NetworkPolicy | null;
  /** null: as long as the host lets it */
  lifetimeS: number | null;
} & ({ kind: "task"; task: string } | { kind: "command"; command: string });

/** @throws WorkRefused */
export function orderOf(params: Record<string, unknown>): WorkOrder {
  const task = optionalText(params, "task");
  const command = optionalText(params, "command");
  const rest = {
    image: optionalText(params, "image"),
    memoryMb: optionalWhole(params, "memory_mb", 64, 1_048_576),
    name: optionalText(params, "name"),
    ports: portList(params, "ports"),
    files: textList(params, "files"),
    network: optionalNetwork(params, "network"),
    lifetimeS: optionalDuration(params, "lifetime"),
  };
  if (task !== null && command === null) return { kind: "task", task, ...rest };
  if (command !== null && task === null) return { kind: "command", command, ...rest };
  throw new WorkRefused('Give either "task" or "command".');
}
