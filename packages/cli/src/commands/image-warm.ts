import type { Register } from "../command-table.ts";
import { positiveNumber } from "../options/counts.ts";
import { memory } from "../options/memory.ts";

interface Options {
  memory?: number;
  disk?: number;
  vcpus?: number;
  readOnly?: boolean;
}

export const register: Register = (command, cli) => {
  command
    .argument("<ref>", "an image, which is fetched where it is not there yet")
    .option("--memory <size>", "as the instances will have, as in 512m or 2g (default 512m)", memory)
    .option("--disk <size>", "as the instances will have (default 10g)", memory)
    .option("--vcpus <n>", "as the instances will have (default 1)", positiveNumber)
    .option("--read-only", "as the instances will have their root file system")
    .action(async (ref: string, options: Options) => {
      const warmed = await cli.client.images.warm({
        ref,
        ...(options.memory === undefined ? {} : { memory_mb: options.memory }),
        ...(options.disk === undefined ? {} : { disk_mb: options.disk }),
        ...(options.vcpus === undefined ? {} : { vcpus: options.vcpus }),
        ...(options.readOnly === undefined ? {} : { read_only_root: options.readOnly }),
      });
      const { memory_mb, disk_mb, vcpus, took_ms } = warmed;
      cli.answer(
        warmed,
        () =>
          `new instances of ${ref} with ${memory_mb} MB, ${vcpus} vcpus and a disk of ${disk_mb} MB start warm (${took_ms} ms)`,
      );
    });
};
