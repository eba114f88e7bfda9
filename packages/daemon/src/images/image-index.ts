import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "./atomic-file.ts";
import type { FileLock } from "./file-lock.ts";
import { parseIndex, type Descriptor } from "./image-config.ts";

const REF = "org.opencontainers.image.ref.name";
/** digests by which the registry knows the image, where they differ from ours: its index, its own manifest format */
const SOURCES = "aegis.source-digests";
/** it came from a folder on this machine */
const IMPORTED = "aegis.imported";

export interface IndexEntry {
  /** in full, as formatReference gives it */
  ref: string;
  manifest: Descriptor;
  sourceDigests: string[];
  /** made on this machine: no registry may have it */
  imported: boolean;
}

/** Which reference names which image: the `index.json` of the OCI layout. An entry means that the image is complete. */
export class ImageIndex {
  readonly #path: string;
  readonly #lock: FileLock;

  constructor(layout: string, lock: FileLock) {
    this.#path = join(layout, "index.json");
    this.#lock = lock;
  }

  async entries(): Promise<IndexEntry[]> {
    const text = await readFile(this.#path, "utf8").catch(ifMissing);
    if (text === null) return [];
    return parseIndex(JSON.parse(text)).manifests.flatMap(toEntry);
  }

  async find(ref: string): Promise<IndexEntry | null> {
    return (await this.entries()).find((entry) => entry.ref === ref) ?? null;
  }

  async set(entry: IndexEntry): Promise<void> {
    await this.#change((entries) => [...entries.filter(({ ref }) => ref !== entry.ref), entry]);
  }

  async remove(refs: readonly string[]): Promise<void> {
    await this.#change((entries) => entries.filter(({ ref }) => !refs.includes(ref)));
  }

  async #change(change: (entries: IndexEntry[]) => IndexEntry[]): Promise<void> {
    await this.#lock.hold("exclusive", async () => {
      const manifests = change(await this.entries()).map(toDescriptor);
      const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests };
      await writeFileAtomically(this.#path, JSON.stringify(index, null, 1));
    });
  }
}

function toEntry({ annotations = {}, ...manifest }: Descriptor): IndexEntry[] {
  const ref = annotations[REF];
  if (ref === undefined) return [];
  return [
    {
      ref,
      manifest,
      sourceDigests: annotations[SOURCES]?.split(" ") ?? [],
      imported: annotations[IMPORTED] === "true",
    },
  ];
}

const toDescriptor = ({ ref, manifest, sourceDigests, imported }: IndexEntry): Descriptor => ({
  ...manifest,
  annotations: {
    [REF]: ref,
    ...(sourceDigests.length > 0 && { [SOURCES]: sourceDigests.join(" ") }),
    ...(imported && { [IMPORTED]: "true" }),
  },
});

function ifMissing(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}
