import { closeSync, createReadStream, fstatSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import type { LogLine } from "@aegis/protocol/instance";

/** An instance's log as it is at one moment: what is written, rotated or deleted later does not change it. Read once. */
export class LogSnapshot {
  readonly #files: { fd: number; bytes: number }[];
  readonly #unwritten: string[];

  /**
   * @param paths older file first; one that is not there is empty
   * @param unwritten lines of JSON that come behind the files
   */
  constructor(paths: string[], unwritten: readonly string[]) {
    this.#files = paths.flatMap((path) => openFile(path) ?? []);
    this.#unwritten = [...unwritten];
  }

  async *lines(): AsyncGenerator<LogLine> {
    try {
      for (const file of this.#files) yield* linesOf(file);
      yield* parsed(this.#unwritten);
    } finally {
      for (const { fd } of this.#files.splice(0)) closeSync(fd);
    }
  }
}

function openFile(path: string): { fd: number; bytes: number } | null {
  try {
    const fd = openSync(path, "r");
    return { fd, bytes: fstatSync(fd).size };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

async function* linesOf({ fd, bytes }: { fd: number; bytes: number }): AsyncGenerator<LogLine> {
  if (bytes === 0) return;
  const input = createReadStream("", { fd, start: 0, end: bytes - 1, autoClose: false });
  for await (const text of createInterface({ input, crlfDelay: Infinity })) yield* parsed([text]);
}

/** A line that a crash cut in half is skipped. */
function* parsed(texts: readonly string[]): Generator<LogLine> {
  for (const text of texts) {
    try {
      yield JSON.parse(text) as LogLine;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
}
