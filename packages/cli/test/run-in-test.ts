import { EventEmitter } from "node:events";
import { PassThrough, Readable } from "node:stream";
import { Cli } from "../src/cli.ts";
import { runCli } from "../src/run-cli.ts";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Terminal {
  home: string;
  stdin?: string;
  tty?: boolean;
  env?: Record<string, string>;
  signals?: EventEmitter;
}

/** The clock that the tests live by. */
export const NOW = Date.parse("2026-01-31T12:00:00Z");

/** One command line, run in this process with streams of its own. */
export async function aegis(line: string | string[], terminal: Terminal): Promise<Outcome> {
  const stdout = collecting(terminal.tty);
  const stderr = collecting(terminal.tty);
  const code = await runCli(
    typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line,
    new Cli({
      env: { AEGIS_HOME: terminal.home, HOME: "/home/nobody", ...terminal.env },
      cwd: "/where/i/am",
      stdin: Readable.from([Buffer.from(terminal.stdin ?? "")]),
      stdout: stdout.stream,
      stderr: stderr.stream,
      signals: terminal.signals ?? new EventEmitter(),
      now: () => NOW,
    }),
  );
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

function collecting(tty = false): {
  stream: PassThrough & { isTTY?: boolean; columns?: number; rows?: number };
  text: () => string;
} {
  const chunks: Buffer[] = [];
  const stream = Object.assign(new PassThrough(), tty ? { isTTY: true, columns: 100, rows: 30 } : {});
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
