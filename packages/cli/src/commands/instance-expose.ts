import type { ExposeRequest } from "@aegis/protocol/instance";
import type { Register } from "../command-table.ts";
import { expose } from "../options/expose.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .argument("<[public:]port>", "as in 8080:80, or 80 for any free public port", expose)
    .action(async (name: string, request: ExposeRequest) => {
      const endpoint = await cli.client.instances.expose(name, request);
      cli.answer(endpoint, () => endpoint.url);
    });
};
