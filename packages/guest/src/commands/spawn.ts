import { bootInstance } from "@aegis/cli/boot-instance";
import type { Register } from "@aegis/cli/command-table";
import { commandOf } from "@aegis/cli/options/command-of";
import { addInstanceOptions, createBody, type InstanceOptions } from "@aegis/cli/options/instance-options";
import { parseJson, isRecord } from "../json-shape.ts";
import { InvalidArgumentError } from "commander";

interface SpawnOptions extends InstanceOptions {
  body?: Record<string, unknown>;
  wait: boolean;
}

export const register: Register = (command, cli) => {
  addInstanceOptions(command.argument("[command...]"))
    .usage("[options] -- CMD")
    .option("--body <json>", 'more of the create body, as in \'{"capabilities":{"spawn":true}}\'', jsonObject)
    .option("--no-wait", "do not wait until it runs")
    .action(async (words: string[], options: SpawnOptions) => {
      const { bindings: _host, ...asked } = createBody(options, commandOf(cli.tail, words), cli.context.cwd);
      const created = await cli.client.instances.spawn({ ...asked, ...options.body });
      const child = options.wait ? await bootInstance(cli, created.id, {}) : created;
      for (const { url, guest_port } of child.endpoints) cli.note(`port ${guest_port} answers at ${url}`);
      cli.answer(child, () => child.id);
    });
};

function jsonObject(text: string): Record<string, unknown> {
  const value = parseJson(text);
  if (isRecord(value)) return value;
  throw new InvalidArgumentError("it is not a JSON object");
}
