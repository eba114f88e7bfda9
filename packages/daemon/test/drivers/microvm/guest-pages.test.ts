import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { putPages, usedPages } from "../../../src/drivers/microvm/guest-pages.ts";
import { RECORD_BYTES } from "../../../src/drivers/microvm/sealed-stream.ts";

const PAGE = 4096;

async function piecesOf(memory: Buffer): Promise<Buffer[]> {
  const folder = mkdtempSync(join(tmpdir(), "aegis-pages-"));
  try {
    writeFileSync(join(folder, "ram"), memory);
    await using file = await open(join(folder, "ram"));
    return await Array.fromAsync(usedPages(file));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("memory comes back as it was, in pieces of at most a record, whatever of it was in use", async () => {
  const pages = fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 600 });
  await fc.assert(
    fc.asyncProperty(pages, async (values) => {
      const memory = Buffer.concat(values.map((value) => Buffer.alloc(PAGE, Math.max(0, value - 1))));
      const again = Buffer.alloc(memory.length);
      for (const piece of await piecesOf(memory)) {
        expect(piece.length).toBeLessThanOrEqual(RECORD_BYTES);
        putPages(piece, (run, at) => run.copy(again, at));
      }
      expect(again.equals(memory)).toBe(true);
    }),
    { numRuns: 30 },
  );
});

test("what is nothing but zeros is left out", async () => {
  const memory = Buffer.alloc(500 * PAGE);
  memory[300 * PAGE + 7] = 1;
  const pieces = await piecesOf(memory);
  const put: [number, number][] = [];
  for (const piece of pieces) putPages(piece, (run, at) => put.push([run.length, at]));
  expect(put).toEqual([[PAGE, 300 * PAGE]]);
});

test("a piece that names more than it holds is refused", () => {
  const piece = Buffer.alloc(8 + PAGE);
  piece.writeUInt32BE(2, 4);
  expect(() => putPages(piece, () => expect.unreachable())).toThrow("damaged");
  piece.writeUInt32BE(0, 4);
  expect(() => putPages(piece, () => expect.unreachable())).toThrow("damaged");
});
