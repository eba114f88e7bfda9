import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.action(async () => {
    const names = await cli.client.secrets.list();
    cli.answer(names, () =>
      names.length === 0 ? "no secrets: store one with `aegis secret set NAME`" : names.join("\n"),
    );
  });
};
