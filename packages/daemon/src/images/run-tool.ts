import { spawn } from "node:child_process";
import { AegisError } from "@aegis/protocol/errors";

export interface ToolOptions {
  cwd?: string;
  signal?: AbortSignal | undefined;
  /** file descriptors that the tool gets as 0, 3, 4 ... */
  files?: readonly number[];
  onErrorLine?: (line: string) => void;
  /** a namespace, chroot or the like that has to be entered before the tool is tied to this process */
  enter?: readonly string[];
}

/** A tool that ended with an error; `output` is the end of what it said. */
export class ToolFailed extends Error {
  override readonly name = "ToolFailed";
  readonly output: string;

  constructor(tool: string, outcome: string, output: string) {
    super(`${tool} ${outcome}: ${output.trim().split("\n").slice(-3).join(" | ")}`);
    this.output = output;
  }
}

const KEPT_OUTPUT = 16 * 1024;

/**
 * Runs a tool without a shell and returns its output. It dies with this process, and at once when the signal fires; it has
 * ended when this settles.
 * @throws ToolFailed, the signal's reason, AegisError `driver_failed` when the tool is not installed
 */
export async function runTool(command: readonly string[], options: ToolOptions = {}): Promise<string> {
  const { signal, files = [], enter = [] } = options;
  signal?.throwIfAborted();
  const [program = "", ...args] = [...enter, "setpriv", "--pdeathsig", "KILL", "--", ...command];
  const child = spawn(program, args, {
    cwd: options.cwd,
    stdio: [files[0] ?? "ignore", "pipe", "pipe", ...files.slice(1)],
  });
  const kill = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", kill, { once: true });
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    errors = (errors + chunk).slice(-KEPT_OUTPUT);
    if (options.onErrorLine !== undefined) chunk.split("\n").forEach(options.onErrorLine);
  });
  try {
    const outcome = await new Promise<string | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, by) => resolve(code === 0 ? null : `ended with ${by ?? `code ${code}`}`));
    });
    signal?.throwIfAborted();
    if (outcome === null) return output;
    const missing = /^(?:setpriv|unshare|nsenter): failed to execute ([^\s:]+): No such file/m.exec(errors)?.[1];
    if (missing !== undefined) throw toolMissing(missing);
    throw new ToolFailed(command[0] ?? "", outcome, errors === "" ? output : errors);
  } finally {
    signal?.removeEventListener("abort", kill);
  }
}

const toolMissing = (tool: string) =>
  new AegisError(
    "driver_failed",
    `${tool} is not installed, and images cannot be handled without it. Install it with apt.`,
  );
