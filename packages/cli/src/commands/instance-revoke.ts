import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.argument("<name>", "handle or id").action(async (name: string) => {
    const instance = await cli.client.instances.revoke(name);
    const below = instance.tree?.used.instances ?? 0;
    const ended = below === 0 ? "" : `; ${below === 1 ? "the one" : `the ${below}`} below it stopped`;
    cli.answer(instance, () => `${instance.handle} has no capabilities any more${ended}`);
  });
};
