import { InvalidArgumentError } from "commander";
import type { Register } from "../command-table.ts";
import { memory } from "../options/memory.ts";
import { addPowerOptions, powerFields, type PowerOptions } from "../options/power-options.ts";
import { powerText } from "../render/instance-text.ts";

export const register: Register = (command, cli) => {
  addPowerOptions(
    command
      .argument("<name>", "handle or id")
      .option("--disk <size>", "may write more from the next start on, as in 20g; never less", memory),
  ).action(async (name: string, options: PowerOptions & { disk?: number }) => {
    const changes = { ...powerFields(options), ...(options.disk === undefined ? {} : { disk_mb: options.disk }) };
    if (Object.keys(changes).length === 0)
      throw new InvalidArgumentError("nothing to change: say for example --idle-timeout 5m");
    const instance = await cli.client.instances.update(name, changes);
    cli.answer(
      instance,
      () =>
        `${instance.handle} ${options.disk === undefined ? "" : `has ${instance.disk_mb} MB of disk, `}${powerText(instance)}`,
    );
  });
};
