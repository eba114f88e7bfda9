import type { Register } from "../command-table.ts";

export const register: Register = (command, cli) => {
  command.argument("<ref>", "reference or digest").action(async (ref: string) => {
    await cli.client.images.delete(ref);
    cli.answer({ image: ref, done: "delete" }, () => `deleted ${ref}`);
  });
};
