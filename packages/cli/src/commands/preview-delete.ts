import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .argument("<preview>", "its id, as `aegis preview list` shows it")
    .action(async (name: string, preview: string) => {
      await cli.client.previews.delete(name, preview);
      cli.answer({ preview, done: "deleted" }, () => `deleted ${preview}`);
    });
};
