import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.argument("<name>").action(async (name: string) => {
    await cli.client.secrets.delete(name);
    cli.answer({ secret: name, done: "delete" }, () => `deleted ${name}`);
  });
};
