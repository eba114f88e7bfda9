/** Pause hook of the bot instance: `pause.mjs ask` before a pause, `pause.mjs resumed` after it. */
import { GatewaySuspension } from "./bot/gateway-suspension.ts";
import { botPaths } from "./bot/paths.ts";

const { config } = botPaths(process.env["CLAW_WORKSPACE"] ?? "/workspace", import.meta.dirname);

try {
  const suspension = new GatewaySuspension(config);
  if (process.argv[2] === "resumed") await suspension.resume(agreed(process.env["AEGIS_PAUSE_TOKEN"] ?? "{}"));
  else process.stdout.write(`${JSON.stringify(await suspension.prepare())}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function agreed(token: string): string {
  const { suspensionId } = JSON.parse(token) as { suspensionId?: string };
  if (suspensionId === undefined) throw new Error("AEGIS_PAUSE_TOKEN names no suspension");
  return suspensionId;
}
