import type { DiskStatus } from "@aegis/protocol/status";
import { humanSize } from "./human-size.ts";

/** `12 GB free, 3.4 GB used of a budget of 10 GB`. */
export function diskText({
  free_bytes: free,
  used_bytes: used,
  budget_bytes: budget,
}: Omit<DiskStatus, "low">): string {
  const limit = budget === null ? "" : ` of a budget of ${humanSize(budget)}`;
  return `${humanSize(free)} free${used === null ? "" : `, ${humanSize(used)} used${limit}`}`;
}
