import { Readable } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { seal, unseal } from "../../../src/drivers/microvm/sealed-stream.ts";

const KEY = new Uint8Array(32).fill(5);

async function read(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const sealed = (chunks: readonly Uint8Array[], subject = "inst-1"): Promise<Buffer> =>
  read(seal(Readable.from(chunks), KEY, subject));

const opened = (bytes: Buffer, key = KEY, subject = "inst-1"): Promise<Buffer> =>
  read(unseal(Readable.from([bytes]), key, subject));

test("what was sealed comes out as it was, however it was cut", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(chunks, async (parts) => {
      expect((await opened(await sealed(parts))).equals(Buffer.concat(parts))).toBe(true);
    }),
    { numRuns: 50 },
  );
  const large = [Buffer.alloc(2_500_000, 1), Buffer.alloc(700_000, 2)];
  expect((await opened(await sealed(large))).equals(Buffer.concat(large))).toBe(true);
});

test("nothing of it is to be read", async () => {
  expect((await sealed([Buffer.from("a canary in memory")])).includes("canary")).toBe(false);
});

test("a change of any byte is noticed", async () => {
  const bytes = await sealed([Buffer.from("memory of a machine")]);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(opened(changed), `byte ${at}`).rejects.toThrow();
  }
});

test("an end that is missing, another key and another instance's are noticed", async () => {
  const bytes = await sealed([Buffer.alloc(1024 * 1024, 1), Buffer.alloc(10, 2)]);
  // without the last record, which holds nothing but the end
  await expect(opened(bytes.subarray(0, -20))).rejects.toThrow("it was cut off");
  await expect(opened(bytes, new Uint8Array(32).fill(6))).rejects.toThrow();
  await expect(opened(bytes, KEY, "inst-2")).rejects.toThrow();
});
