import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";

/** What a URL path names below the site's folder. */
export type SiteFile =
  | { kind: "file"; path: string; size: number }
  | { kind: "folder"; names: string[] }
  /** a folder was named without its trailing slash */
  | { kind: "redirect"; to: string }
  | { kind: "none" };

/** Never leaves `root`, neither by `..` nor through a link. @param urlPath still encoded, without the query */
export async function siteFile(root: string, urlPath: string): Promise<SiteFile> {
  const path = decode(urlPath);
  if (path === null || path.includes("\0") || path.split(/[\\/]/).includes("..")) return { kind: "none" };
  const real = await resolved(join(root, path));
  const realRoot = await resolved(root);
  if (real === null || realRoot === null) return { kind: "none" };
  if (real !== realRoot && !real.startsWith(realRoot + sep)) return { kind: "none" };
  const found = await stat(real);
  if (found.isFile()) return path.endsWith("/") ? { kind: "none" } : { kind: "file", path: real, size: found.size };
  if (!found.isDirectory()) return { kind: "none" };
  if (!path.endsWith("/")) return { kind: "redirect", to: `${urlPath}/` };
  return await folder(real);
}

/** There is something in the folder that a browser can show. */
export const hasSite = async (root: string): Promise<boolean> =>
  (await folder(root)).kind === "file" || (await names(root)).length > 0;

async function folder(path: string): Promise<SiteFile> {
  const index = join(path, "index.html");
  const size = await fileSize(index);
  return size === null ? { kind: "folder", names: await names(path) } : { kind: "file", path: index, size };
}

/** Sorted, folders with a trailing slash, hidden ones left out. */
async function names(path: string): Promise<string[]> {
  const entries = (await resolved(path)) === null ? [] : await readdir(path, { withFileTypes: true });
  return entries
    .filter((entry) => !entry.name.startsWith("."))
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort();
}

async function fileSize(path: string): Promise<number | null> {
  if ((await resolved(path)) !== path) return null;
  const found = await stat(path);
  return found.isFile() ? found.size : null;
}

const resolved = (path: string): Promise<string | null> => realpath(path).catch(() => null);

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return null;
    throw error;
  }
}
