import { AegisError } from "@aegis/protocol/errors";
import type { ExecRequest } from "@aegis/protocol/exec";
import type { InstancesApi } from "@aegis/sdk/instances-api";
import { OutputTail } from "./output-tail.ts";

const DEFAULT_TIMEOUT_S = 600;

/** Runs a command to its end and keeps as much of its output as an agent can read. */
export async function runToEnd(
  instances: InstancesApi,
  id: string,
  request: ExecRequest,
  { timeoutS = DEFAULT_TIMEOUT_S, signal }: { timeoutS?: number | undefined; signal: AbortSignal },
): Promise<object> {
  const limit = AbortSignal.timeout(timeoutS * 1000);
  const output = { stdout: new OutputTail(), stderr: new OutputTail() };
  let exitCode: number | null = null;
  try {
    for await (const step of instances.exec(id, request, AbortSignal.any([limit, signal]))) {
      if ("line" in step) output[step.stream].push(step.line);
      if ("exit_code" in step) exitCode = step.exit_code;
    }
  } catch (error) {
    if (!limit.aborted) throw error;
    const said = output.stderr.text() || output.stdout.text();
    throw new AegisError(
      "unavailable",
      `the command did not end within ${timeoutS} s and was ended. Give it a longer timeout_s, or run it as the command of a child of its own. Its last output: ${said}`,
      { cause: error },
    );
  }
  return { exit_code: exitCode, stdout: output.stdout.text(), stderr: output.stderr.text() };
}
