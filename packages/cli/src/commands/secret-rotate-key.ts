import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.action(async () => {
    const rotated = await cli.client.secrets.rotateKey();
    cli.answer(rotated, () => `${rotated.secrets} secrets are sealed with a new key; running instances go on`);
  });
};
