/** The bytes in pieces of these lengths; the last piece is the rest. */
export function chunksOf(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let rest = bytes;
  for (const cut of cuts) {
    chunks.push(rest.subarray(0, cut));
    rest = rest.subarray(cut);
  }
  return [...chunks, rest];
}
