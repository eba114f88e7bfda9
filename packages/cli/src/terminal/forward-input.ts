import type { ExecSession } from "@aegis/sdk/exec-session";
import type { InputStream } from "../cli.ts";

/**
 * Hands stdin on to the command, no faster than it takes it; with a terminal key by key.
 * @returns gives stdin back as it was
 */
export function forwardInput(stdin: InputStream, session: ExecSession, raw: boolean): () => void {
  const onData = (chunk: Uint8Array | string) => {
    stdin.pause();
    void session.write(typeof chunk === "string" ? Buffer.from(chunk) : chunk).then(() => stdin.resume());
  };
  const onEnd = () => void session.endInput();
  const isRaw = raw && stdin.isTTY === true;
  if (isRaw) stdin.setRawMode?.(true);
  stdin.on("data", onData).on("end", onEnd);
  return () => {
    stdin.off("data", onData).off("end", onEnd);
    if (isRaw) stdin.setRawMode?.(false);
    // an open pipe would keep this process alive
    stdin.destroy();
  };
}
