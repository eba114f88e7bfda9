import { AegisError } from "@aegis/protocol/errors";
import type { Register } from "../command-table.ts";
import { secretInput } from "../terminal/secret-input.ts";

export const register: Register = (command, cli) => {
  command.argument("<name>", "as in OPENAI_API_KEY").action(async (name: string) => {
    const value = await secretInput(cli.context, `value of ${name}: `);
    if (value === "") throw new AegisError("invalid_request", `${name} has no value: type one, or pipe it in`);
    await cli.client.secrets.put(name, value);
    cli.answer({ secret: name, done: "set" }, () => `stored ${name}`);
  });
};
