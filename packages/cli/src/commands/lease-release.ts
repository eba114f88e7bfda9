import { InvalidArgumentError } from "commander";
import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .argument("[lease]", "its id, as `aegis lease list` shows it")
    .option("--all", "all that it has")
    .action(async (name: string, lease: string | undefined, { all = false }: { all?: boolean }) => {
      if ((lease !== undefined) === all) throw new InvalidArgumentError("name one lease, or say --all");
      const released = lease === undefined ? await idsOf(name) : [lease];
      for (const id of released) await cli.client.instances.releaseLease(name, id);
      cli.answer({ instance: name, released }, () =>
        released.length === 0 ? `${name} holds no lease` : released.map((id) => `released ${id}`).join("\n"),
      );
    });

  const idsOf = async (name: string) => (await cli.client.instances.get(name)).leases.map(({ lease_id }) => lease_id);
};
