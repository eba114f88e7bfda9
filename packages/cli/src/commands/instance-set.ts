import { InvalidArgumentError } from "commander";
import type { Register } from "../command-table.ts";
import { addPowerOptions, powerFields, type PowerOptions } from "../options/power-options.ts";
import { powerText } from "../render/instance-text.ts";

export const register: Register = (command, cli) => {
  addPowerOptions(command.argument("<name>", "handle or id")).action(async (name: string, options: PowerOptions) => {
    const changes = powerFields(options);
    if (Object.keys(changes).length === 0)
      throw new InvalidArgumentError("nothing to change: say for example --idle-timeout 5m");
    const instance = await cli.client.instances.update(name, changes);
    cli.answer(instance, () => `${instance.handle} ${powerText(instance)}`);
  });
};
