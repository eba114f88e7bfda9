import { AegisError } from "@aegis/protocol/errors";
import { aegisHome, socketPathOf } from "@aegis/sdk/aegis-home";
import { AegisClient } from "@aegis/sdk/client";
import { BOT_HANDLE } from "./bot-instance.ts";
import type { Env } from "./setting-values.ts";

/** `aegis kit pair claw [CODE]`: lets the person in who was given that code; without one, who waits. */
export async function pair(args: string[], env: Env, print: (text: string) => void): Promise<number> {
  const [code, ...more] = args.filter((word) => word !== "--json");
  if (more.length > 0 || (code !== undefined && !/^[A-Z0-9]{4,16}$/i.test(code)))
    throw new AegisError("invalid_request", "A code is what the bot wrote to the person: aegis kit pair claw CODE");
  const client = new AegisClient({ socketPath: socketPathOf(aegisHome(env)) });
  const command = [
    "openclaw",
    "pairing",
    ...(code === undefined ? ["list", "telegram"] : ["approve", "telegram", code]),
  ];
  let exit = 1;
  for await (const step of client.instances.exec(BOT_HANDLE, { command, env: { NO_COLOR: "1" } })) {
    if ("line" in step) print(step.line);
    if ("exit_code" in step) exit = step.exit_code;
  }
  return exit;
}
