import type { DaemonStatus } from "@aegis/protocol/status";
import type { Register } from "../command-table.ts";
import { diskText } from "../render/disk-text.ts";
import { humanDuration } from "../render/human-time.ts";
import { shortRef } from "../render/instance-text.ts";
import { fields } from "../render/table.ts";

export const register: Register = (command, cli) => {
  command.action(async () => {
    const status = await cli.client.status();
    cli.answer(status, () => statusText(status));
  });
};

function statusText(status: DaemonStatus): string {
  const counts = Object.entries(status.instances)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  return fields([
    ["aegisd", `${status.status}, pid ${status.pid}, up ${humanDuration(status.uptime_s)}, version ${status.version}`],
    ["instances", counts.join(", ") || "none"],
    ["backend", `${status.backend}${missing(status.capabilities)}`],
    ["router", status.router_port === null ? "none, its port is taken" : `http://127.0.0.1:${status.router_port}`],
    ["image", `${shortRef(status.default_image)} when none is named`],
    ["audit log", status.audit.problem],
    ["home", status.home],
    [
      "disk",
      `${diskText(status.disk)}${status.disk.low ? ": low, see aegis image prune and aegis instance prune" : ""}`,
    ],
  ]);
}

function missing(capabilities: Record<string, boolean>): string {
  const lacks = Object.keys(capabilities).filter((name) => capabilities[name] === false);
  return lacks.length === 0 ? "" : ` (without ${lacks.join(", ")})`;
}
