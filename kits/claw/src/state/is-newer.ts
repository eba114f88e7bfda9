/** Whether a version, as in `2026.9.6`, comes after another one. What is no number in it does not count. */
export function isNewer(version: string, than: string): boolean {
  const [a, b] = [numbersOf(version), numbersOf(than)];
  for (const [index, part] of a.entries()) {
    const other = b[index] ?? 0;
    if (part !== other) return part > other;
  }
  return false;
}

const numbersOf = (version: string): number[] => (version.match(/\d+/g) ?? []).map(Number);
