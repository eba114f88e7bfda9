import { resolve } from "node:path";
import type { Register } from "../command-table.ts";
import { pullImage } from "../pull-image.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<folder>", "an OCI layout (the folder with index.json)")
    .argument("<ref>", "the name it gets, as in mine:1")
    .action((folder: string, ref: string) => pullImage(cli, { ref, layout: resolve(cli.context.cwd, folder) }));
};
