import type { InstanceView } from "@aegis/protocol/instance";
import { InvalidArgumentError } from "commander";
import { bootInstance } from "../boot-instance.ts";
import type { Register } from "../command-table.ts";
import { addInstanceOptions, createBody, type InstanceOptions } from "../options/instance-options.ts";

export const register: Register = (command, cli) => {
  addInstanceOptions(command.argument("[name]", "a stopped instance to start, or the name for a new one"))
    .usage("[options] [NAME] [-- CMD]")
    .option("--no-wait", "do not wait until it runs")
    .action(async (name: string | undefined, options: InstanceOptions & { wait: boolean }) => {
      const handle = name ?? options.name;
      const body = createBody(
        handle === undefined ? options : { ...options, name: handle },
        cli.tail ?? [],
        cli.context.cwd,
      );
      if (body.command === undefined && handle === undefined)
        throw new InvalidArgumentError("nothing to start: name a stopped instance, or write a command behind --");
      const plain = Object.keys(body).every((key) => key === "handle");
      if (plain && handle !== undefined) await cli.client.instances.start(handle);
      const id = plain && handle !== undefined ? handle : (await cli.client.instances.create(body)).id;
      const instance = options.wait ? await bootInstance(cli, id, body) : await cli.client.instances.get(id);
      cli.answer(instance, () => started(instance));
    });
};

const started = (instance: InstanceView) =>
  [`${instance.state} ${instance.handle}`, ...instance.endpoints.map((endpoint) => endpoint.url)].join("  ");
