import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Layer, LayerStore } from "./layer-store.ts";
import { DEBIAN_PACKAGES, FALLBACK_SUITE, FILE_TIME } from "./recipe.ts";
import { CommandFailed, contained, runCommand } from "./run-command.ts";

/** Debian's minimal system with our packages, from the archive that this host's apt uses. */
export async function buildDebianBase(
  store: LayerStore,
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<Layer> {
  const scratch = await store.scratch();
  const suite = await debianSuite();
  const sources = await debianSources("/etc/apt", suite);
  const sourcesFiles: string[] = [];
  for (const [extension, text] of Object.entries(sources)) {
    if (text === "") continue;
    const file = join(scratch, `debian.${extension}`);
    await writeFile(file, text);
    sourcesFiles.push(file);
  }
  const command = [
    "mmdebstrap",
    "--mode=root",
    "--format=tar",
    "--variant=minbase",
    `--include=${DEBIAN_PACKAGES.join(",")}`,
    ...APT_OPTIONS.map((option) => `--aptopt=${option}`),
    ...(await proxyOptions()).map((option) => `--aptopt=${option}`),
    ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`),
    ...CUSTOMIZE.map((hook) => `--customize-hook=${hook}`),
    suite,
    "-",
    ...sourcesFiles,
  ];
  const env = { TMPDIR: scratch, SOURCE_DATE_EPOCH: String(FILE_TIME), LC_ALL: "C.UTF-8" };
  return await store.addTar((stdout) => runCommand(contained(command), { env, stdout, onLine, signal }));
}

const APT_OPTIONS = ['Acquire::Languages "none"', 'APT::Install-Recommends "false"', 'Acquire::Retries "3"'];

const DPKG_OPTIONS = [
  "force-unsafe-io",
  "path-exclude=/usr/share/doc/*",
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/info/*",
  "path-exclude=/usr/share/locale/*",
  "path-include=/usr/share/doc/*/copyright",
];

/** What belongs to this host and not to the image. Device nodes come from the runtime. */
const CUSTOMIZE = [
  'rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
  ': > "$1/etc/resolv.conf"; : > "$1/etc/machine-id"; echo localhost > "$1/etc/hostname"',
  'rm -rf "$1"/var/log/*.log "$1"/var/log/apt "$1"/var/cache/debconf/*-old "$1"/var/cache/ldconfig/aux-cache',
  'find "$1/usr/lib/python3" "$1/usr/lib/python3."* -name __pycache__ -prune -exec rm -rf {} +',
];

/** This host's own suite when it is Debian: its archive is known to be reachable. */
async function debianSuite(): Promise<string> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1];
  return /^ID=debian$/m.test(release) && codename !== undefined ? codename : FALLBACK_SUITE;
}

/** The entries of the host's apt sources that are the Debian archive itself, and no third party's. */
export async function debianSources(aptFolder: string, suite: string): Promise<{ list: string; sources: string }> {
  const parts = await readdir(join(aptFolder, "sources.list.d")).catch(() => []);
  const files = ["sources.list", ...parts.toSorted((a, b) => (a < b ? -1 : 1)).map((name) => `sources.list.d/${name}`)];
  const found = { list: "", sources: "" };
  for (const name of files) {
    const text = await readFile(join(aptFolder, name), "utf8").catch(() => "");
    if (name.endsWith(".list"))
      found.list += text
        .split("\n")
        .flatMap((line) => archiveLine(line, suite))
        .join("");
    else if (name.endsWith(".sources"))
      found.sources += text
        .split(/\n\s*\n/)
        .flatMap((part) => archiveStanza(part, suite))
        .join("");
  }
  return found;
}

const ofSuite = (name: string, suite: string) =>
  [suite, `${suite}-updates`, `${suite}-security`, `${suite}/updates`].includes(name);

function archiveLine(line: string, suite: string): string[] {
  const match = /^deb\s+(?:\[[^\]]*\]\s*)?\S+\s+(\S+)\s+(.*)$/.exec(line.trim());
  if (match === null || !ofSuite(match[1] ?? "", suite) || !(match[2] ?? "").split(/\s+/).includes("main")) return [];
  return [`${line.trim()}\n`];
}

function archiveStanza(stanza: string, suite: string): string[] {
  const field = (name: string) => new RegExp(`^${name}:(.*)$`, "im").exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
  const fits =
    field("Types").includes("deb") &&
    field("Suites").some((name) => ofSuite(name, suite)) &&
    field("Components").includes("main") &&
    !field("Enabled").includes("no");
  return fits ? [`${stanza.trim()}\n\n`] : [];
}

async function proxyOptions(): Promise<string[]> {
  try {
    const dump = await runCommand(["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"]);
    return dump.split("\n").flatMap((line) => /^(Acquire::https?::Proxy ".+");$/.exec(line)?.[1] ?? []);
  } catch (error) {
    if (error instanceof CommandFailed) return [];
    throw error;
  }
}
