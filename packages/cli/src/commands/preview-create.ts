import { AegisError } from "@aegis/protocol/errors";
import type { Register } from "../command-table.ts";
import { finiteDuration } from "../options/duration.ts";
import { port } from "../options/expose.ts";
import { secretInput } from "../terminal/secret-input.ts";

interface Options {
  password?: true;
  once?: true;
  for?: number;
}

export const register: Register = (command, cli) => {
  command
    .argument("<name>", "handle or id")
    .argument("[port]", "an exposed HTTP port of it (default: the first)", port)
    .option("--password", "ask for a password; it is typed, or piped in")
    .option("--once", "the first browser that opens the link is the only one that can")
    .option("--for <time>", "the link is over after 90s, 5m, 2h, 1d (default: with the instance)", finiteDuration)
    .action(async (name: string, guestPort: number | undefined, options: Options) => {
      const password = options.password === true ? await secretInput(cli.context, "password: ") : null;
      if (password === "") throw new AegisError("invalid_request", "there is no password: type one, or pipe it in");
      const preview = await cli.client.previews.create(name, {
        ...(guestPort === undefined ? {} : { port: guestPort }),
        ...(password === null ? {} : { password }),
        ...(options.once === true ? { one_time: true } : {}),
        ...(options.for === undefined ? {} : { ttl_s: Math.max(Math.round(options.for), 1) }),
      });
      cli.answer(preview, () => preview.url);
    });
};
