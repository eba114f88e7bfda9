import { spawn } from "node:child_process";
import { AegisError } from "@aegis/protocol/errors";

const MAX_OUTPUT = 1024 * 1024;

export interface CommandOptions {
  input?: string;
  timeoutMs?: number;
  /** exit codes that are no failure; else 0 alone */
  accepts?: readonly number[];
  /** of its standard output; what is longer is left out */
  maxBytes?: number;
}

/**
 * Runs a tool of the host to its end, without a shell, and gives its standard output.
 * @throws AegisError `driver_failed` with what the tool said, when it is missing, fails or hangs
 */
export async function runCommand(command: string, args: string[], options: CommandOptions = {}): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { accepts = [0] } = options;
  const child = spawn(command, args, {
    stdio: ["pipe", "pipe", "pipe"],
    timeout: options.timeoutMs ?? 20_000,
    killSignal: "SIGKILL",
  });
  const output = collect(child.stdout, options.maxBytes);
  const errors = collect(child.stderr);
  child.once("error", (error) => reject(failed(command, error.message)));
  child.once("close", (code, signal) => {
    if (code !== null && accepts.includes(code)) resolve(output.text());
    else
      reject(failed(command, errors.text().trim() || (signal === null ? `exit code ${code}` : `ended by ${signal}`)));
  });
  // A tool that ends before it has read its input breaks the pipe; its exit code tells why.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  return promise;
}

const failed = (command: string, why: string): AegisError =>
  new AegisError("driver_failed", `${command} failed: ${why}`);

function collect(stream: NodeJS.ReadableStream, maxBytes = MAX_OUTPUT): { text(): string } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
  });
  return { text: () => Buffer.concat(chunks).toString("utf8") };
}
