import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** When the file, or the newest file below the folder, was changed last, in ms. */
export function newest(path) {
  const found = statSync(path);
  if (!found.isDirectory()) return found.mtimeMs;
  return Math.max(found.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}
