import { stripVTControlCharacters } from "node:util";

const GAP = "  ";

/** Rows under a head, columns as wide as their widest cell; the last one is left as it is. */
export function table(head: string[], rows: string[][]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ""))));
  return all
    .map((row) =>
      row
        .map((cell, column) => pad(cell, widths[column] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join("\n");
}

/** `name: value` lines with the values below each other; a pair without a value is left out. */
export function fields(pairs: [name: string, value: string | null][]): string {
  const shown = pairs.filter((pair): pair is [string, string] => pair[1] !== null);
  const widest = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${`${name}:`.padEnd(widest + 1)} ${value}`).join("\n");
}

const width = (text: string) => stripVTControlCharacters(text).length;
const pad = (text: string, to: number) => text + " ".repeat(to - width(text));
