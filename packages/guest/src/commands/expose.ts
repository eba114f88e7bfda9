import { expose } from "@aegis/cli/options/expose";
import type { GuestRegister } from "./guest-program.ts";
import { ownOrChild } from "./own-or-child.ts";

export const register: GuestRegister = (command, cli, self) => {
  command
    .argument("<words...>", "[NAME] PORT: a port of a child, or of this instance")
    .usage("[NAME] PORT")
    .action(async (words: string[]) => {
      const { name, port } = ownOrChild(words);
      const request = expose(port);
      const endpoint = await (name === null ? self.expose(request) : cli.client.instances.expose(name, request));
      cli.answer(endpoint, () => endpoint.url);
    });
};
