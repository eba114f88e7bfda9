import type { Register } from "../command-table.ts";
import { instanceDetails } from "../render/instance-text.ts";

export const register: Register = (command, cli) => {
  command.argument("<name>", "handle or id").action(async (name: string) => {
    const instance = await cli.client.instances.get(name);
    cli.answer(instance, () => instanceDetails(instance, cli.palette, cli.context.now()));
  });
};
