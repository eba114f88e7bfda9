import { spawn } from "node:child_process";
import { exitCode } from "./exit-code.ts";
import { killGroup } from "./kill-group.ts";
import type { JobResult } from "./job.ts";

/** Runs a shell command with its output passed through. Aborting kills it with all it started. */
export function runCommand(command: string, cwd: string, signal: AbortSignal): Promise<JobResult> {
  const child = spawn("sh", ["-c", command], { cwd, stdio: ["ignore", "inherit", "inherit"], detached: true });
  const kill = () => killGroup(child);
  signal.addEventListener("abort", kill, { once: true });
  const { promise, resolve, reject } = Promise.withResolvers<JobResult>();
  child.once("error", (error) =>
    reject(new Error(`the command could not be started: ${error.message}`, { cause: error })),
  );
  child.once("close", (code, killedBy) => {
    signal.removeEventListener("abort", kill);
    const status = exitCode(code, killedBy);
    const memory = status === 137 ? ": it was killed, most likely because it ran out of memory" : "";
    resolve({ ok: status === 0, text: `the command ended with exit code ${status}${memory}.` });
  });
  return promise;
}
