import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { AegisError } from "@aegis/protocol/errors";
import type { CliContext } from "../cli.ts";

/** A secret from a pipe (less its last line break), or typed unseen. Never from the command line, which others can read. */
export async function secretInput(context: CliContext, prompt: string): Promise<string> {
  if (context.stdin.isTTY !== true) return (await text(context.stdin)).replace(/\r?\n$/, "");
  context.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: context.stdin, output: nowhere, terminal: true });
  const interrupted = new AbortController();
  lines.once("SIGINT", () => interrupted.abort());
  try {
    return await lines.question("", { signal: interrupted.signal });
  } catch (cause) {
    throw new AegisError("invalid_request", "nothing was stored: the prompt was interrupted", { cause });
  } finally {
    lines.close();
    context.stderr.write("\n");
  }
}
