import { InvalidArgumentError } from "commander";
import type { InstanceState } from "@aegis/protocol/instance";
import type { Register } from "../command-table.ts";
import { instanceTable } from "../render/instance-text.ts";

const STATES = ["starting", "running", "paused", "hibernated", "stopped", "failed"] as const satisfies InstanceState[];

export const register: Register = (command, cli) => {
  command
    .option("--state <state>", `only those that are ${STATES.join(", ")}`, state)
    .option("--parent <name>", "only the children of this one")
    .action(async (options: { state?: InstanceState; parent?: string }) => {
      const parentId = options.parent === undefined ? undefined : (await cli.client.instances.get(options.parent)).id;
      const instances = await cli.client.instances.list({
        ...(options.state === undefined ? {} : { state: options.state }),
        ...(parentId === undefined ? {} : { parentId }),
      });
      cli.answer(instances, () =>
        instances.length === 0
          ? "no instances: start one with `aegis run -- CMD`"
          : instanceTable(instances, cli.palette, cli.context.now()),
      );
    });
};

function state(text: string): InstanceState {
  const found = STATES.find((one) => one === text);
  if (found === undefined) throw new InvalidArgumentError(`it is one of ${STATES.join(", ")}`);
  return found;
}
