import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** How the work ended for good; its presence means: never again. */
export interface DoneMarker {
  text: string;
  seconds: number;
  finished_at: string;
}

export function readMarker(path: string): DoneMarker | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as DoneMarker;
  } catch (error) {
    // a marker that is cut off in the middle is none: the work is done again
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error && error.code === "ENOENT"))
      return null;
    throw error;
  }
}

export function writeMarker(path: string, marker: DoneMarker): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.next`, JSON.stringify(marker));
  renameSync(`${path}.next`, path);
}
