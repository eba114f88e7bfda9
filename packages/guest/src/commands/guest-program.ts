import { createReadStream } from "node:fs";
import { isatty } from "node:tty";
import { Cli } from "@aegis/cli/cli";
import type { Entry, Register } from "@aegis/cli/command-table";
import { endWithReader, printedAll } from "@aegis/cli/process-output";
import { runCli } from "@aegis/cli/run-cli";
import { AegisClient } from "@aegis/sdk/client";
import { SelfApi } from "@aegis/sdk/self-api";
import packageJson from "../../package.json" with { type: "json" };
import { GUEST_HELP } from "./guest-help.ts";
import { guestEndpoint } from "./guest-socket.ts";

/** Like {@link Register}, for what concerns the instance itself too. */
export type GuestRegister = (...args: [...Parameters<Register>, self: SelfApi]) => void;

/** Runs one of the commands that an instance has. @returns the exit code */
export async function runGuestCommand(argv: string[]): Promise<number> {
  const endpoint = guestEndpoint(process.env);
  const self = new SelfApi(endpoint);
  const context = {
    env: process.env,
    cwd: process.cwd(),
    stdin: isatty(0) ? process.stdin : pipedInput(),
    stdout: process.stdout,
    stderr: process.stderr,
    signals: process,
    now: () => Date.now(),
  };
  const { version } = packageJson;
  const program = { name: "aegis-guest", version, entries: entriesOf(self), help: GUEST_HELP };
  endWithReader();
  const exitCode = await runCli(argv, new Cli(context, new AegisClient(endpoint)), program);
  await printedAll();
  return exitCode;
}

/** Of a pipe that is not read for a while, Bun's `process.stdin` now and then never tells the end. */
const pipedInput = () => createReadStream("", { fd: 0, autoClose: false });

function entriesOf(self: SelfApi): Entry[] {
  const own = async (loaded: Promise<{ register: GuestRegister }>): Promise<{ register: Register }> => {
    const { register } = await loaded;
    return { register: (command, cli) => register(command, cli, self) };
  };
  return [
    { name: "self", summary: "who this instance is, and what it may do", load: () => own(import("./self.ts")) },
    {
      name: "spawn",
      summary: "create a child",
      takesCommand: true,
      load: () => import("./spawn.ts"),
    },
    { name: "ls", summary: "the children", load: () => import("./ls.ts") },
    {
      name: "info",
      summary: "everything about one child",
      load: () => import("@aegis/cli/commands/instance-info"),
    },
    {
      name: "exec",
      summary: "run a command in a child",
      takesCommand: true,
      load: () => import("@aegis/cli/commands/exec"),
    },
    { name: "logs", summary: "what a child has printed", load: () => import("@aegis/cli/commands/logs") },
    { name: "start", summary: "start a stopped child", load: () => import("./start.ts") },
    { name: "stop", summary: "stop a child", load: () => import("@aegis/cli/commands/instance-stop") },
    { name: "delete", summary: "remove children", load: () => import("@aegis/cli/commands/instance-delete") },
    { name: "wait", summary: "until a child has ended", load: () => import("./wait.ts") },
    { name: "cp", summary: "copy a file of a child's workspace", load: () => import("@aegis/cli/commands/cp") },
    { name: "events", summary: "what happens to the children", load: () => import("@aegis/cli/commands/events") },
    { name: "keepalive", summary: "stay awake for a while", load: () => own(import("./keepalive.ts")) },
    { name: "expose", summary: "give a port a public port", load: () => own(import("./expose.ts")) },
    { name: "unexpose", summary: "take a public port back", load: () => own(import("./unexpose.ts")) },
    { name: "restart", summary: "restart this instance", load: () => own(import("./restart.ts")) },
  ];
}
