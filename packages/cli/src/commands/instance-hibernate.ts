import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .option("--force", "without asking it whether it is busy")
    .action(async (name: string, { force = false }: { force?: boolean }) => {
      await cli.client.instances.hibernate(name, { force });
      cli.answer({ instance: name, done: "hibernate" }, () => `hibernated ${name}`);
    });
};
