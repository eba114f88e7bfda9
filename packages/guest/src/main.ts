import { HARNESS_LISTEN_FD } from "@aegis/protocol/control";
import { fstatSync } from "node:fs";
import { basename } from "node:path";
import { messageOf } from "@aegis/protocol/errors";
import packageJson from "../package.json" with { type: "json" };
import { GUEST_SOCKET } from "./commands/guest-socket.ts";
import { serveDevice } from "./device-server.ts";
import { Harness } from "./harness.ts";
import { forbidInspection } from "./libc.ts";
import { serveStreams } from "./stream-server.ts";

/** What the workload gets to end when somebody terminates the harness itself, in ms. */
const TERMINATE_GRACE_MS = 5000;

const { version } = packageJson;

/** The same file under this name, as MCP clients want it. */
const MCP_NAME = "aegis-mcp-guest";

/** The commands and the MCP server are loaded where they are asked for: every instance has a harness, which needs neither. */
async function main(name: string, args: string[]): Promise<void> {
  const [command, ...rest] = args;
  if (name === MCP_NAME || command === "mcp") {
    const { serveMcp } = await import("./mcp/serve-mcp.ts");
    await serveMcp(version);
    process.exit(0);
  }
  if (command === "harness") return runHarness(rest);
  const { runGuestCommand } = await import("./commands/guest-program.ts");
  process.exit(await runGuestCommand(args));
}

async function runHarness(args: string[]): Promise<void> {
  forbidInspection();
  const [option, guestSocket] = args;
  if (option !== undefined && (option !== "--guest-socket" || guestSocket === undefined))
    throw new Error(`"${args.join(" ")}" is not understood: only --guest-socket PATH can be given`);
  const harness = new Harness({ guestSocket: guestSocket ?? GUEST_SOCKET, exit: () => process.exit(0) });
  survive(harness);
  if (fstatSync(HARNESS_LISTEN_FD).isCharacterDevice()) serveDevice(HARNESS_LISTEN_FD, harness);
  else await serveStreams(HARNESS_LISTEN_FD, harness);
}

/** Nothing that happens inside may end the harness: with it the instance ends. */
function survive(harness: Harness): void {
  const complain = (thrown: unknown) => process.stderr.write(`aegis-guest: unexpected: ${messageOf(thrown)}\n`);
  process.on("uncaughtException", complain);
  process.on("unhandledRejection", complain);
  process.on("SIGTERM", () => void harness.terminate(TERMINATE_GRACE_MS));
  process.on("SIGINT", () => void harness.terminate(TERMINATE_GRACE_MS));
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const) process.on(signal, () => undefined);
}

main(basename(process.argv0), process.argv.slice(2)).catch((thrown: unknown) => {
  process.stderr.write(`aegis-guest: ${messageOf(thrown)}\n`);
  process.exitCode = 1;
});
