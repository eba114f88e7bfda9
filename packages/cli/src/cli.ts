import type { EventEmitter } from "node:events";
import type { Readable, Writable } from "node:stream";
import { aegisHome, socketPathOf, type Env } from "@aegis/sdk/aegis-home";
import { AegisClient } from "@aegis/sdk/client";
import { Palette } from "./render/palette.ts";

export type InputStream = Readable & { isTTY?: boolean; setRawMode?: (raw: boolean) => unknown };
export type OutputStream = Writable & { isTTY?: boolean; columns?: number; rows?: number };

/** What the process gives the commands; tests give their own. */
export interface CliContext {
  env: Env;
  cwd: string;
  stdin: InputStream;
  stdout: OutputStream;
  stderr: OutputStream;
  /** emits SIGINT, SIGTERM, SIGHUP and SIGWINCH as `process` does */
  signals: Pick<EventEmitter, "on" | "off">;
  /** ms since the epoch */
  now: () => number;
}

/** One run of the command line: where output goes, and the daemon. */
export class Cli {
  readonly context: CliContext;
  readonly home: string;
  readonly palette: Palette;
  readonly notePalette: Palette;
  readonly client: AegisClient;
  /** machine-readable output was asked for */
  json = false;
  /** what stands behind `--`, null without one: the command for the instance */
  tail: string[] | null = null;
  exitCode = 0;

  /** @param client absent: of the daemon that the environment names */
  constructor(context: CliContext, client?: AegisClient) {
    this.context = context;
    this.home = aegisHome(context.env);
    this.client = client ?? new AegisClient({ socketPath: socketPathOf(this.home) });
    this.palette = new Palette(context.stdout, context.env);
    this.notePalette = new Palette(context.stderr, context.env);
  }

  /** The answer, on stdout: as text, or with `--json` the value. */
  answer(value: unknown, text: () => string): void {
    if (this.json) this.printJson(value);
    else this.print(text());
  }

  print(text: string): void {
    this.context.stdout.write(`${text}\n`);
  }

  printJson(value: unknown): void {
    this.context.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Something beside the answer, on stderr; nothing with `--json`. */
  note(text: string): void {
    if (!this.json) this.context.stderr.write(`${this.notePalette.dim(text)}\n`);
  }
}
