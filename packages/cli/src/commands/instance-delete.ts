import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.argument("<name...>", "handles or ids").action(async (names: string[]) => {
    for (const name of names) await cli.client.instances.delete(name);
    cli.answer({ deleted: names }, () => names.map((name) => `deleted ${name}`).join("\n"));
  });
};
