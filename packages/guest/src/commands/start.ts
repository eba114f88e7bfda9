import { bootInstance } from "@aegis/cli/boot-instance";
import type { Register } from "@aegis/cli/command-table";

export const register: Register = (command, cli) => {
  command.argument("<name>", "handle or id").action(async (name: string) => {
    await cli.client.instances.start(name);
    const instance = await bootInstance(cli, name, {});
    cli.answer(instance, () => `${instance.state} ${instance.handle}`);
  });
};
