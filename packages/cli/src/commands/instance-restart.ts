import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.argument("<name>", "handle or id").action(async (name: string) => {
    await cli.client.instances.restart(name);
    cli.answer({ instance: name, done: "restart" }, () => `restarting ${name}`);
  });
};
