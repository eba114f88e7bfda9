// Writes the memory of a machine that was written down into the memory of one that is being started, beside QEMU: a program
// of its own, in the control group of the machine, since a page of memory counts for whoever writes it first.
//
// fill-memory SEALED MEMORY; stdin: a FillOrder; stdout: FILLED, or why not.
import { openSync, readFileSync, readSync, writeSync } from "node:fs";
import { FILLED, type FillOrder } from "./fill-order.ts";
import { putPages } from "./guest-pages.ts";
import { RECORD_BYTES, Unsealer } from "./sealed-stream.ts";

const READ_BYTES = 16 * RECORD_BYTES;
const STDIN = 0;

function fill(sealed: number, memory: number, unsealer: Unsealer): void {
  const window = Buffer.allocUnsafe(READ_BYTES);
  for (let held = 0; ;) {
    const got = readSync(sealed, window, held, READ_BYTES - held, null);
    if (got === 0) return unsealer.finish();
    const bytes = window.subarray(0, held + got);
    const used = unsealer.take(bytes, (piece) => putPages(piece, (pages, at) => write(memory, pages, at)));
    held = bytes.length - used;
    window.copyWithin(0, used, bytes.length);
  }
}

function write(file: number, bytes: Buffer, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, at + done);
}

const [sealed = "", memory = ""] = process.argv.slice(2);
try {
  const { key, subject } = JSON.parse(readFileSync(STDIN, "utf8")) as FillOrder;
  fill(openSync(sealed, "r"), openSync(memory, "r+"), new Unsealer(Buffer.from(key, "hex"), subject));
  process.stdout.write(FILLED);
} catch (error) {
  process.stdout.write(error instanceof Error ? error.message : String(error));
}
