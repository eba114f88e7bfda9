import type { Register } from "../command-table.ts";
import { pullImage } from "../pull-image.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<ref>", "as in node:24 or registry:5000/a/b@sha256:...")
    .action((ref: string) => pullImage(cli, { ref }));
};
