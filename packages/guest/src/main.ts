import { HARNESS_LISTEN_FD } from "@aegis/protocol/control";
import packageJson from "../package.json" with { type: "json" };
import { messageOf } from "./guest-error.ts";
import { Harness } from "./harness.ts";
import { forbidInspection } from "./libc.ts";
import { serveStreams } from "./stream-server.ts";

const GUEST_SOCKET = "/run/aegis/guestd.sock";
/** What the workload gets to end when somebody terminates the harness itself, in ms. */
const TERMINATE_GRACE_MS = 5000;

const { version } = packageJson;

const HELP = `aegis-guest ${version}: Aegis inside an instance

  aegis-guest harness [--guest-socket PATH]   serves the host on the inherited descriptor ${HARNESS_LISTEN_FD}
  aegis-guest --version
`;

async function main(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  switch (command) {
    case "harness":
      return runHarness(rest);
    case "--version":
      process.stdout.write(`${version}\n`);
      return;
    case "--help":
    case "help":
      process.stdout.write(HELP);
      return;
    default:
      process.stderr.write(HELP);
      process.exitCode = 2;
  }
}

async function runHarness(args: string[]): Promise<void> {
  forbidInspection();
  const [option, guestSocket] = args;
  if (option !== undefined && (option !== "--guest-socket" || guestSocket === undefined))
    throw new Error(`"${args.join(" ")}" is not understood: only --guest-socket PATH can be given`);
  const harness = new Harness({ guestSocket: guestSocket ?? GUEST_SOCKET, exit: () => process.exit(0) });
  survive(harness);
  await serveStreams(HARNESS_LISTEN_FD, harness);
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

main(process.argv.slice(2)).catch((thrown: unknown) => {
  process.stderr.write(`aegis-guest: ${messageOf(thrown)}\n`);
  process.exitCode = 1;
});
