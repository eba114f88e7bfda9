import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";

const GUEST_DIR = fileURLToPath(new URL("../guest/", import.meta.url));
const PROTOCOL_DIR = fileURLToPath(new URL("../../../packages/protocol/src/", import.meta.url));
/** what of the protocol's code the plugin runs, beside its own files */
const PROTOCOL_FILES = ["exec-frame.ts", "growing-bytes.ts"];

/**
 * Writes what the image has at /opt/claw: the guest's sources as plain JavaScript (`.mjs`), its manifests and
 * Perl and Python as they are.
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
  for (const file of PROTOCOL_FILES) {
    const target = join("plugin/protocol", file.replace(/\.ts$/, ".mjs"));
    await mkdir(dirname(join(outDir, target)), { recursive: true });
    await writeFile(join(outDir, target), toJavaScript(await readFile(join(PROTOCOL_DIR, file), "utf8")));
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
    case ".pl":
    case ".py":
      return source;
    default:
      return null;
  }
}

/** Types become blanks, so that lines and columns of errors stay true. */
const toJavaScript = (source: string): string =>
  stripTypeScriptTypes(source)
    .replace(/(\bfrom\s*"\.[^"]*)\.ts"/g, '$1.mjs"')
    .replace(/\bfrom\s*"@aegis\/protocol\/([^"]+)"/g, 'from "./protocol/$1.mjs"');
