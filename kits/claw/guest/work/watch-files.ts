import { type FSWatcher, statSync, watch } from "node:fs";
import { join } from "node:path";
import type { Tell } from "./job.ts";

/** OpenClaw reads it into the agent's prompt; it is no result. */
export const NOTES_FILE = "AGENTS.md";

const SKIPPED = /(^|\/)(\.|node_modules\/)/;

/** Tells of each file that appears in the folder, once. */
export function watchFiles(folder: string, tell: Tell): FSWatcher {
  const seen = new Set<string>();
  const watcher = watch(folder, { recursive: true }, (_event, name) => {
    if (name === null || name === NOTES_FILE || seen.has(name) || SKIPPED.test(name) || !isFile(join(folder, name)))
      return;
    seen.add(name);
    tell(`wrote ${name}`);
  });
  // a folder that goes away under the watcher is not worth a failure
  watcher.on("error", (error) => process.stderr.write(`watching ${folder}: ${String(error)}\n`));
  return watcher;
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
