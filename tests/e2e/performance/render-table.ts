import { verdictOf, type Figure, type Series, type Unit } from "./figure.ts";
import { summarise } from "./statistics.ts";

const HEAD = ["measured", "n", "median", "p99", "raw median", "raw p99", "times raw", "target", ""];

/** A Markdown table, aligned so that it reads in a terminal as well. */
export function renderTable(figures: readonly Figure[]): string {
  const rows = [HEAD, ...figures.flatMap(rowsOf)];
  const widths = HEAD.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => pad(cell, column, widths)).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(HEAD), `| ${rule.join(" | ")} |`, ...rows.slice(1).map(line)].join("\n");
}

const pad = (cell: string, column: number, widths: readonly number[]): string =>
  column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);

/** A row for the figure, and below it one for each raw series that says what it is. */
function rowsOf(figure: Figure): string[][] {
  const { aegis, raw, unit, target, targetP99 } = figure;
  const own = summarise(aegis.values);
  const [first] = raw;
  const [rawMedian, rawP99, ratio] = first === undefined ? ["", "", ""] : compare(own.median, first, unit);
  const limit = target === null ? "" : `<= ${target}${targetP99 === undefined ? "" : `, p99 ${targetP99}`} ${unit}`;
  const cells = [aegis.label, String(own.n), show(own.median, unit), show(own.p99, unit)];
  return [[...cells, rawMedian, rawP99, ratio, limit, verdictOf(figure)], ...raw.map((series) => rawRow(series, unit))];
}

function compare(median: number, series: Series, unit: Unit): [string, string, string] {
  const raw = summarise(series.values);
  return [show(raw.median, unit), show(raw.p99, unit), (median / raw.median).toFixed(1)];
}

function rawRow(series: Series, unit: Unit): string[] {
  const { n, median, p99 } = summarise(series.values);
  return [`  raw: ${series.label}`, String(n), "", "", show(median, unit), show(p99, unit), "", "", ""];
}

function show(value: number, unit: Unit): string {
  const digits = unit === "ms" && value < 20 ? 2 : value < 20 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit === "% CPU" ? "%" : unit}`;
}
