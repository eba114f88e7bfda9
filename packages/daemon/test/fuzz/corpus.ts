import { readFileSync } from "node:fs";

/** Cases that were interesting once, one JSON value a line: replayed before every run. */
export const corpus = <T>(name: string): T[] =>
  readFileSync(new URL(`corpus/${name}.ndjson`, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
