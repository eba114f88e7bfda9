import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";

const GUEST_DIR = fileURLToPath(new URL("../guest/", import.meta.url));

/**
 * Writes what the image has at /opt/claw: the guest's sources as plain JavaScript (`.mjs`), its manifests as they are.
 * The same sources give the same bytes.
 * @param outDir is made if need be; files that are in it already stay
 * @returns the files' paths within it, sorted
 */
export async function collectGuestFiles(outDir: string, guestDir: string = GUEST_DIR): Promise<string[]> {
  const sources = (await readdir(guestDir, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(guestDir.length));
  const written: string[] = [];
  for (const source of sources.sort()) {
    const target = targetOf(source);
    if (target === null) continue;
    await mkdir(dirname(join(outDir, target)), { recursive: true });
    if (target === source) await copyFile(join(guestDir, source), join(outDir, target));
    else await writeFile(join(outDir, target), toJavaScript(await readFile(join(guestDir, source), "utf8")));
    written.push(target);
  }
  return written.sort();
}

function targetOf(source: string): string | null {
  if (source.endsWith(".d.ts") || basename(source) === "tsconfig.json") return null;
  switch (extname(source)) {
    case ".ts":
      return source.replace(/\.ts$/, ".mjs");
    case ".json":
    case ".md":
      return source;
    default:
      return null;
  }
}

/** Types become blanks, so that lines and columns of errors stay true. */
const toJavaScript = (source: string): string =>
  stripTypeScriptTypes(source).replace(/(\bfrom\s*"\.[^"]*)\.ts"/g, '$1.mjs"');
