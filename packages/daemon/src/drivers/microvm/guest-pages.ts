import type { FileHandle } from "node:fs/promises";
import { RECORD_BYTES } from "./sealed-stream.ts";

const PAGE_BYTES = 4096;
const HEAD_BYTES = 8;
const READ_BYTES = 1024 * 1024;
const NO_PAGE = Buffer.alloc(PAGE_BYTES);

/** Takes a run of pages, and where it lies in the memory. */
export type PutPages = (pages: Buffer, at: number) => void;

/**
 * The pages of a machine's memory that hold anything, in pieces of at most one record: runs of pages, each behind the number
 * of its first page and how many there are. What is nothing but zeros is left out: memory that nobody has written yet is that.
 * @param memory whole pages
 */
export async function* usedPages(memory: FileHandle): AsyncGenerator<Buffer, void> {
  const { size } = await memory.stat();
  const window = Buffer.allocUnsafe(READ_BYTES);
  let packed = new PagePack();
  for (let at = 0; at < size;) {
    const { bytesRead } = await memory.read(window, 0, Math.min(READ_BYTES, size - at), at);
    if (bytesRead === 0 || bytesRead % PAGE_BYTES !== 0) throw new Error("the memory of the machine cannot be read");
    for (let from = 0; from < bytesRead; from += PAGE_BYTES) {
      const page = window.subarray(from, from + PAGE_BYTES);
      if (page.equals(NO_PAGE) || packed.add(page, (at + from) / PAGE_BYTES)) continue;
      yield packed.bytes;
      packed = new PagePack();
      packed.add(page, (at + from) / PAGE_BYTES);
    }
    at += bytesRead;
  }
  yield packed.bytes;
}

/** Runs of pages, as many as there is room for. */
class PagePack {
  readonly #buffer = Buffer.allocUnsafe(RECORD_BYTES);
  #length = 0;
  /** where the run that may go on has its head */
  #head = 0;
  #next = -1;

  /** @returns false when it is full */
  add(page: Buffer, number: number): boolean {
    const goesOn = number === this.#next;
    if (this.#length + (goesOn ? 0 : HEAD_BYTES) + PAGE_BYTES > RECORD_BYTES) return false;
    if (!goesOn) {
      this.#head = this.#length;
      this.#buffer.writeUInt32BE(number, this.#head);
      this.#buffer.writeUInt32BE(0, this.#head + 4);
      this.#length += HEAD_BYTES;
    }
    this.#buffer.writeUInt32BE(this.#buffer.readUInt32BE(this.#head + 4) + 1, this.#head + 4);
    page.copy(this.#buffer, this.#length);
    this.#length += PAGE_BYTES;
    this.#next = number + 1;
    return true;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Undoes {@link usedPages}, a piece at a time. @throws Error when it is none of its pieces */
export function putPages(piece: Buffer, put: PutPages): void {
  for (let at = 0; at < piece.length;) {
    const [first, count] = [piece.readUInt32BE(at), piece.readUInt32BE(at + 4)];
    const end = at + HEAD_BYTES + count * PAGE_BYTES;
    if (count === 0 || end > piece.length) throw new Error("it is damaged");
    put(piece.subarray(at + HEAD_BYTES, end), first * PAGE_BYTES);
    at = end;
  }
}
