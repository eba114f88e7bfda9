import { port as portOf } from "@aegis/cli/options/expose";
import type { GuestRegister } from "./guest-program.ts";
import { ownOrChild } from "./own-or-child.ts";

export const register: GuestRegister = (command, cli, self) => {
  command
    .argument("<words...>", "[NAME] PORT: a port of a child, or of this instance")
    .usage("[NAME] PORT")
    .action(async (words: string[]) => {
      const { name, port } = ownOrChild(words);
      const guestPort = portOf(port);
      await (name === null ? self.unexpose(guestPort) : cli.client.instances.unexpose(name, guestPort));
      cli.answer({ instance: name, guest_port: guestPort, done: "unexpose" }, () => `closed ${port}`);
    });
};
