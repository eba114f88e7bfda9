import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Descriptor, Layer, LayerStore } from "./layer-store.ts";
import { DEBIAN_PACKAGES } from "./recipe.ts";
import { contained, runCommand } from "./run-command.ts";

export interface RegistryImage {
  /** `docker://...`, as skopeo takes it */
  source: string;
  insecure: boolean;
}

const PROBE_MS = 5000;

/** Where the base image can be had from right now: the mirrors first, then the registry; null when nobody answers in time. */
export async function findRegistryBase(name: string, signal?: AbortSignal): Promise<RegistryImage | null> {
  for (const candidate of candidates(name, mirrorsFromEnvironment())) {
    if (await answers(candidate, signal)) return candidate;
  }
  return null;
}

/** The daemon's own setting: `docker.io=http://127.0.0.1:5000,quay.io=...` */
const mirrorsFromEnvironment = () =>
  (process.env["AEGIS_REGISTRY_MIRRORS"] ?? "").split(",").flatMap((entry) => {
    const [registry, url] = entry.trim().split("=", 2);
    return registry === "docker.io" && url !== undefined ? [url] : [];
  });

/** A mirror speaks for docker.io alone. */
export function candidates(name: string, mirrors: readonly string[]): RegistryImage[] {
  const repository = /^docker\.io\/(.*)$/.exec(name)?.[1];
  const mirrored = repository === undefined ? [] : mirrors;
  return [
    ...mirrored.map((mirror) => ({
      source: `docker://${mirror.replace(/^https?:\/\//, "").replace(/\/$/, "")}/${repository}`,
      insecure: mirror.startsWith("http://"),
    })),
    { source: `docker://${name}`, insecure: /^(?:localhost|127\.\d+\.\d+\.\d+)(?::\d+)?\//.test(name) },
  ];
}

async function answers(candidate: RegistryImage, signal?: AbortSignal): Promise<boolean> {
  const deadline = AbortSignal.any([AbortSignal.timeout(PROBE_MS), ...(signal === undefined ? [] : [signal])]);
  const tls = `--tls-verify=${!candidate.insecure}`;
  try {
    await runCommand(["skopeo", "inspect", "--raw", tls, candidate.source], { signal: deadline });
    return true;
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}

/** The registry's layers, and one more with the Debian packages that it lacks. */
export async function buildRegistryBase(
  store: LayerStore,
  image: RegistryImage,
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<Layer[]> {
  const scratch = await store.scratch();
  const layout = join(scratch, "layout");
  const bundle = join(scratch, "bundle");
  const tls = `--src-tls-verify=${!image.insecure}`;
  await runCommand(["skopeo", "copy", tls, image.source, `oci:${layout}:base`], { onLine, signal });
  await runCommand(["umoci", "unpack", "--image", `${layout}:base`, bundle], { signal });
  const script = join(scratch, "install.sh");
  await writeFile(script, INSTALL);
  const env = { ROOT: join(bundle, "rootfs"), PACKAGES: DEBIAN_PACKAGES.join(" ") };
  await runCommand(contained(["sh", "-eu", script]), { env, onLine, signal });
  await runCommand(["umoci", "repack", "--image", `${layout}:base`, bundle], { signal });
  const layers = await readLayout(layout);
  for (const { blob } of layers) await store.adopt(layout, blob.digest);
  await rm(scratch, { recursive: true });
  return layers;
}

/** In a mount namespace of its own, so the host's resolver and /proc are in the chroot only while apt runs. */
const INSTALL = `
mount -t proc proc "$ROOT/proc"
if [ ! -L "$ROOT/etc/resolv.conf" ]; then
  [ -e "$ROOT/etc/resolv.conf" ] || : > "$ROOT/etc/resolv.conf"
  mount --bind "$(readlink -f /etc/resolv.conf)" "$ROOT/etc/resolv.conf"
fi
export DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
cd /
chroot "$ROOT" apt-get -q -o Acquire::Languages=none update
chroot "$ROOT" apt-get -q -y --no-install-recommends -o Dpkg::Options::=--path-exclude=/usr/share/doc/* \
  -o Dpkg::Options::=--path-exclude=/usr/share/man/* -o Dpkg::Options::=--force-unsafe-io install $PACKAGES
chroot "$ROOT" apt-get clean
rm -rf "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/log/apt "$ROOT"/var/log/dpkg.log "$ROOT"/var/cache/debconf/*-old
`;

interface Manifest {
  config: Descriptor;
  layers: Descriptor[];
}

async function readLayout(layout: string): Promise<Layer[]> {
  const read = async <T>(path: string) => JSON.parse(await readFile(join(layout, path), "utf8")) as T;
  const blob = (digest: string) => `blobs/${digest.replace(":", "/")}`;
  const index = await read<{ manifests: Descriptor[] }>("index.json");
  const manifest = await read<Manifest>(blob(index.manifests[0]?.digest ?? ""));
  const config = await read<{ rootfs: { diff_ids: string[] } }>(blob(manifest.config.digest));
  return manifest.layers.map((layer, at) => ({ blob: layer, diffId: config.rootfs.diff_ids[at] ?? "" }));
}
