import type { Register } from "@aegis/cli/command-table";
import { instanceTable } from "@aegis/cli/render/instance-text";

export const register: Register = (command, cli) => {
  command.action(async () => {
    const children = await cli.client.instances.list();
    cli.answer(children, () =>
      children.length === 0
        ? "no children: create one with `aegis-guest spawn -- CMD`"
        : instanceTable(children, cli.palette, cli.context.now()),
    );
  });
};
