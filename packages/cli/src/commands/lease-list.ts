import type { Register } from "../command-table.ts";
import { humanDuration } from "../render/human-time.ts";
import { table } from "../render/table.ts";

export const register: Register = (command, cli) => {
  command.argument("<name>", "handle or id").action(async (name: string) => {
    const { handle, leases } = await cli.client.instances.get(name);
    const rows = leases.map(({ lease_id, reason, owner, expires_at }) => [
      lease_id,
      owner === "host" ? "host" : "itself",
      humanDuration((Date.parse(expires_at) - cli.context.now()) / 1000),
      reason,
    ]);
    cli.answer(leases, () =>
      rows.length === 0 ? `${handle} holds no lease` : table(["LEASE", "OWNER", "LEFT", "REASON"], rows),
    );
  });
};
