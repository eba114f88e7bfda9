import { closeSync, createReadStream, fstatSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import type { LogLine } from "@aegis/protocol/exec";
import type { LogPosition } from "../core/logs.ts";

type StoredLine = LogLine & { position?: LogPosition };

/** An instance's log as it is at one moment: what is written, rotated or deleted later does not change it. Read once. */
export class LogSnapshot {
  readonly #files: OpenFile[];
  readonly #unwritten: string[];

  /**
   * @param paths older file first; one that is not there is empty
   * @param unwritten lines of JSON that come behind the files
   * @param tailBytes only so much at the end of each file
   */
  constructor(paths: string[], unwritten: readonly string[], tailBytes = Infinity) {
    this.#files = paths.flatMap((path) => openFile(path, tailBytes) ?? []);
    this.#unwritten = [...unwritten];
  }

  async *lines(): AsyncGenerator<LogLine> {
    for await (const { position: _, ...line } of this.#stored()) yield line;
  }

  /** Of those lines that have one. */
  async *positions(): AsyncGenerator<LogPosition> {
    for await (const { position } of this.#stored()) if (position !== undefined) yield position;
  }

  async *#stored(): AsyncGenerator<StoredLine> {
    try {
      for (const file of this.#files) yield* linesOf(file);
      yield* parsed(this.#unwritten);
    } finally {
      for (const { fd } of this.#files.splice(0)) closeSync(fd);
    }
  }
}

interface OpenFile {
  fd: number;
  start: number;
  bytes: number;
}

function openFile(path: string, tailBytes: number): OpenFile | null {
  try {
    const fd = openSync(path, "r");
    const { size } = fstatSync(fd);
    return { fd, start: Math.max(size - tailBytes, 0), bytes: size };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

async function* linesOf({ fd, start, bytes }: OpenFile): AsyncGenerator<StoredLine> {
  if (bytes === 0) return;
  const input = createReadStream("", { fd, start, end: bytes - 1, autoClose: false });
  for await (const text of createInterface({ input, crlfDelay: Infinity })) yield* parsed([text]);
}

/** A line that a crash, or the beginning of a tail, cut in half is skipped. */
function* parsed(texts: readonly string[]): Generator<StoredLine> {
  for (const text of texts) {
    try {
      yield JSON.parse(text) as StoredLine;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
}
