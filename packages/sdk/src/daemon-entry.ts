import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const SOURCES = ["packages/daemon/src", "packages/protocol/src"];

/** The daemon's bundle, or its sources where they are newer: what is edited is what runs. */
export function daemonEntry(root: string): string {
  const bundle = join(root, "dist/aegisd.mjs");
  const isFresh =
    existsSync(bundle) && SOURCES.every((folder) => newest(join(root, folder)) <= statSync(bundle).mtimeMs);
  return isFresh ? bundle : join(root, "packages/daemon/src/main.ts");
}

const newest = (folder: string): number =>
  Math.max(
    ...readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => statSync(join(folder, name)).mtimeMs),
  );
