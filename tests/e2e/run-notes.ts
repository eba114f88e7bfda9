import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The folder of a run of the tests, in which they note what they have on this host; see scripts/setup/test-run.mjs. */
export const RUN_FOLDER = "AEGIS_TEST_RUN";
const END = ".note.json";

/** What a test has on this host, for the end of a run in which the test did not get to take it away. */
export type Note =
  | { kind: "home"; home: string; /** of its control groups and its folder in `/run/aegis` */ key: string }
  | { kind: "undo"; /** each may fail: it was not done yet, or is undone */ commands: string[][] };

/** @returns to be called when it is gone */
export function noteInRun(note: Note): () => void {
  const folder = process.env[RUN_FOLDER];
  // vitest was started by itself: nobody is there to look
  if (folder === undefined) return () => undefined;
  const path = join(folder, `${Date.now()}-${randomUUID()}${END}`);
  // whole or not at all: the test may be killed just now
  writeFileSync(`${path}.new`, JSON.stringify(note));
  renameSync(`${path}.new`, path);
  return () => rmSync(path, { force: true });
}

/** What was noted and is not gone, the newest first. */
export function notesOf(folder: string): Note[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(END));
  return names
    .toSorted()
    .toReversed()
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Note);
}

export function undo(commands: string[][]): void {
  for (const [program = "", ...args] of commands)
    try {
      execFileSync(program, args, { stdio: "ignore" });
    } catch {
      // It was never done: what did it failed before, or was ended.
    }
}
