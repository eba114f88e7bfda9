import { closeSync, fdatasync, fdatasyncSync, fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import type { AuditFolder } from "./audit-folder.ts";
import { parseLine } from "./audit-lines.ts";

/** More than the longest line there can be. */
const TAIL_BYTES = 64 * 1024;

/** The newest file of the audit log, open for appending. Whole lines only: half of one is cut off again. */
export class AuditFile {
  readonly #fd: number;
  #bytes: number;
  /** a crash had left half a line at the end */
  readonly wasTorn: boolean;

  constructor(folder: AuditFolder, firstSeq: number) {
    this.#fd = folder.open(firstSeq);
    const { size } = fstatSync(this.#fd);
    const tail = readTail(this.#fd, size);
    this.#bytes = size - (tail.length - (tail.lastIndexOf("\n") + 1));
    this.wasTorn = this.#bytes < size;
    if (this.wasTorn) ftruncateSync(this.#fd, this.#bytes);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** All of it, or an error and nothing. */
  append(text: string): void {
    const data = Buffer.from(text);
    try {
      for (let done = 0; done < data.length;) done += writeSync(this.#fd, data, done);
    } catch (error) {
      ftruncateSync(this.#fd, this.#bytes);
      throw error;
    }
    this.#bytes += data.length;
  }

  /** The last line and its number; null when the file is empty. */
  last(firstSeq: number): { seq: number; line: string } | null {
    const lines = readTail(this.#fd, this.#bytes).toString("utf8").split("\n").slice(0, -1);
    const line = lines.at(-1);
    if (line === undefined) return null;
    // a line that something else has spoilt keeps its number
    const known = lines.findLastIndex((text) => parseLine(text) !== null);
    const seq = known === -1 ? firstSeq : (parseLine(lines[known] ?? "")?.seq ?? firstSeq);
    return { seq: seq + (lines.length - 1 - Math.max(known, 0)), line };
  }

  sync(): Promise<void> {
    return promisify(fdatasync)(this.#fd);
  }

  close(): void {
    try {
      fdatasyncSync(this.#fd);
    } finally {
      closeSync(this.#fd);
    }
  }
}

function readTail(fd: number, size: number): Buffer {
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
  return tail.subarray(0, readSync(fd, tail, 0, tail.length, size - tail.length));
}
