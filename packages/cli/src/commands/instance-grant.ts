import type { Capabilities } from "@aegis/protocol/capability";
import type { Register } from "../command-table.ts";
import { grant } from "../options/grant.ts";
import { grantText } from "../render/tree-text.ts";

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .argument("<capabilities>", "all that it may do from now on, as JSON or @file; {} is nothing", grant)
    .action(async (name: string, capabilities: Capabilities) => {
      const instance = await cli.client.instances.grant(name, capabilities);
      cli.answer(instance, () => `${instance.handle} may ${grantText(instance.capabilities)}`);
    });
};
