import type { Register } from "../command-table.ts";
import { port } from "../options/expose.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .argument("<port>", "the port inside", port)
    .action(async (name: string, guestPort: number) => {
      await cli.client.instances.unexpose(name, guestPort);
      cli.answer({ instance: name, guest_port: guestPort, done: "unexpose" }, () => `closed ${name}:${guestPort}`);
    });
};
