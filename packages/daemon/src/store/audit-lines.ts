import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { AuditEntry } from "@aegis/protocol/audit";
import type { AuditRecord } from "../core/audit.ts";

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 10;

/** An entry as it is on disk: `prev` is the hash of the line before, so no line can go or change unnoticed. */
export type ChainedEntry = AuditEntry & { prev: string };

/** What stands before the first line of all. */
export const GENESIS = "0".repeat(64);

export const hashOf = (line: string): string => createHash("sha256").update(line).digest("hex");

export function lineOf(entry: AuditRecord, seq: number, ts: string, prev: string): string {
  return JSON.stringify({ seq, ts, ...entry, prev } satisfies ChainedEntry);
}

/** Null for a line that is none of ours. */
export function parseLine(line: string): ChainedEntry | null {
  try {
    const value: unknown = JSON.parse(line);
    return isEntry(value) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

const isEntry = (value: unknown): value is ChainedEntry =>
  typeof value === "object" && value !== null && "seq" in value && Number.isSafeInteger(value.seq) && "prev" in value;

/** Whole lines of a file that is still written to, a piece at a time. */
export class LineReader {
  readonly #file: FileHandle;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #offset = 0;
  #rest = Buffer.alloc(0);

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** The lines of the next piece; null at the present end of the file. */
  async next(): Promise<string[] | null> {
    const { bytesRead } = await this.#file.read(this.#chunk, 0, CHUNK_BYTES, this.#offset);
    if (bytesRead === 0) return null;
    this.#offset += bytesRead;
    const bytes = Buffer.concat([this.#rest, this.#chunk.subarray(0, bytesRead)]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    this.#rest = bytes.subarray(end);
    return end === 0 ? [] : bytes.toString("utf8", 0, end - 1).split("\n");
  }
}
