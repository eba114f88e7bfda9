import { spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AegisError } from "@aegis/protocol/errors";

export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** takes standard output as bytes; without it the output is returned as text */
  stdout?: Writable;
  /** each line of the error output as it comes */
  onLine?: (line: string) => void;
}

/** A tool that ended with an error; `output` is the end of what it printed. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  readonly output: string;

  constructor(command: string, outcome: string, output: string) {
    super(`${command} ${outcome}: ${output.trim().split("\n").slice(-4).join(" | ")}`);
    this.output = output;
  }
}

const KEPT_OUTPUT = 16 * 1024;

/**
 * Runs a tool without a shell. It dies with this process, and at once when the signal fires.
 * @throws CommandFailed, AegisError `unavailable` when the tool is not installed
 */
export async function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<string> {
  const [name = ""] = command;
  options.signal?.throwIfAborted();
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...command], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = () => child.kill("SIGKILL");
  options.signal?.addEventListener("abort", kill, { once: true });
  let output = "";
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    output = (output + chunk).slice(-KEPT_OUTPUT);
    if (options.onLine !== undefined) for (const line of chunk.split(/[\r\n]+/)) if (line !== "") options.onLine(line);
  });
  const drained =
    options.stdout === undefined
      ? new Promise<void>((resolve) => {
          child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          child.stdout.on("close", resolve);
        })
      : pipeline(child.stdout, options.stdout);
  const ended = new Promise<string | null>((resolve, reject) => {
    child.on("error", (error: NodeJS.ErrnoException) => reject(error));
    child.on("close", (code, signal) => resolve(code === 0 ? null : `ended with ${signal ?? `code ${code}`}`));
  });
  try {
    const [outcome] = await Promise.all([ended, drained.catch((error: unknown) => (kill(), Promise.reject(error)))]);
    options.signal?.throwIfAborted();
    if (outcome === null) return text;
    const missing = /^(?:setpriv|unshare): failed to execute ([^\s:]+): No such file/m.exec(output)?.[1];
    if (missing !== undefined) throw missingTool(missing);
    throw new CommandFailed(name, outcome, output === "" ? text : output);
  } finally {
    options.signal?.removeEventListener("abort", kill);
  }
}

const missingTool = (name: string) =>
  new AegisError(
    "unavailable",
    `${name} is not installed, and the image cannot be built without it. Install it with apt.`,
  );

/**
 * The command in mount and process namespaces of its own: whatever way it ends, no mount and no process outlives it.
 */
export const contained = (command: readonly string[]): string[] => [
  "unshare",
  "--mount",
  "--pid",
  "--fork",
  "--kill-child=KILL",
  "--mount-proc",
  "--",
  ...command,
];
