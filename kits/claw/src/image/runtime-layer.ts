import { chmod, copyFile, mkdir, readdir, realpath, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { Layer, LayerStore } from "./layer-store.ts";
import { NPM_VERSION, type Versions } from "./recipe.ts";
import { runCommand } from "./run-command.ts";
import { tarFolder } from "./tar-folder.ts";

/** node, npm and openclaw in /usr/local, from the npm registry that the user's npm is set to. */
export async function buildRuntimeLayer(
  store: LayerStore,
  versions: Versions,
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<Layer> {
  const stage = await store.scratch();
  const local = join(stage, "usr/local");
  await mkdir(join(local, "bin"), { recursive: true });
  const tools = await store.scratch();
  const nodePackage = `node-linux-${process.arch}`;
  await install(await hostNpm(), process.execPath, onLine, signal, [
    "--ignore-scripts",
    `--prefix=${tools}`,
    `${nodePackage}@${versions.nodeVersion}`,
    `npm@${NPM_VERSION}`,
  ]);
  const node = join(local, "bin/node");
  await copyFile(join(tools, "node_modules", nodePackage, "bin/node"), node);
  await chmod(node, 0o755);
  await install(join(tools, "node_modules/npm/bin/npm-cli.js"), node, onLine, signal, [
    "--global",
    `--prefix=${local}`,
    "--allow-scripts=openclaw",
    `openclaw@${versions.openclawVersion}`,
    `npm@${NPM_VERSION}`,
  ]);
  await rm(tools, { recursive: true });
  await dropBuildFiles(join(local, "lib/node_modules"));
  const layer = await store.addTar((sink) => tarFolder(stage, ["usr"], sink, signal));
  await rm(stage, { recursive: true });
  return layer;
}

/** Runs an npm under a node of our choice: which npm the host has does not show in the image. */
async function install(
  npm: string,
  node: string,
  onLine: (line: string) => void,
  signal: AbortSignal | undefined,
  args: readonly string[],
): Promise<void> {
  const quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--omit=dev", "--loglevel=http"];
  const env = { PATH: [dirname(node), process.env["PATH"]].join(delimiter), NODE_ENV: "" };
  const tell = (line: string) => {
    const fetched = /^npm http fetch GET 200 \S*\/(\S+) /.exec(line)?.[1];
    if (fetched !== undefined) onLine(`fetched ${decodeURIComponent(fetched)}`);
  };
  await runCommand([node, npm, "install", ...quiet, ...args], { env, onLine: tell, signal });
}

/** The script behind the host's npm. */
async function hostNpm(): Promise<string> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const script = await realpath(join(folder, "npm")).catch(() => null);
    if (script?.endsWith(".js") === true) return script;
  }
  throw new AegisError("unavailable", "npm was not found on PATH, and OpenClaw comes from npm. Install npm with apt.");
}

/** Source maps and type declarations: a third of all files, and nothing reads them at run time but a compiler. */
async function dropBuildFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!COMPILERS.has(entry.name)) await dropBuildFiles(path);
    } else if (entry.isFile() && BUILD_FILE.test(entry.name)) await rm(path);
  }
}

const COMPILERS = new Set(["typescript", "@types"]);
const BUILD_FILE = /\.(?:[cm]?[jt]s|css)\.map$|\.d\.[cm]?ts$/;
