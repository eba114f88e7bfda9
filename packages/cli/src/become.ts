import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";

/** Gives terminal and signals to another program. @returns its exit code, where this process could not become it */
export async function become([program, ...args]: [string, ...string[]], env: NodeJS.ProcessEnv): Promise<number> {
  const texts = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (program.startsWith("/")) process.execve?.(program, [program, ...args], Object.fromEntries(texts));
  const child = spawn(program, args, { env, stdio: "inherit" });
  // the terminal sends them to the other one as well, which decides
  for (const name of ["SIGINT", "SIGQUIT"] as const) process.on(name, () => undefined);
  for (const name of ["SIGTERM", "SIGHUP"] as const) process.on(name, () => child.kill(name));
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
}
