/** Pause hook of the bot instance: asks the kit's plugin in the gateway, and prints what it says. */
import { readFileSync } from "node:fs";
import { botPaths } from "./bot/paths.ts";
import { PAUSE_PATH } from "./plugin/pause-route.ts";

const TIMEOUT_MS = 15_000;

interface GatewayConfig {
  gateway: { port: number; auth: { token: string } };
}

const { config } = botPaths(process.env["CLAW_WORKSPACE"] ?? "/workspace", import.meta.dirname);

try {
  const { gateway } = JSON.parse(readFileSync(config, "utf8")) as GatewayConfig;
  const response = await fetch(`http://127.0.0.1:${gateway.port}${PAUSE_PATH}`, {
    method: "POST",
    headers: { authorization: `Bearer ${gateway.auth.token}` },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`the gateway answered ${response.status} to the question whether it may be paused`);
  process.stdout.write(`${answer}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
