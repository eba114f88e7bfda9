import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import Type, { type Static } from "typebox";
import { Check } from "typebox/value";
import type { WarmSpec } from "../../core/driver.ts";
import { imagePath } from "../linux/disk-image.ts";
import { identifyProcess, isAlive } from "../linux/process-identity.ts";
import { runCommand } from "../linux/run-command.ts";
import { diskFingerprint, sealingOf, snapshotFolder, unusable, type WrittenMachine } from "./snapshot-store.ts";

const Facts = Type.Object({
  version: Type.Literal(1),
  platform: Type.String(),
  /** checks the memory; since nothing in there is secret, it lies beside it */
  key: Type.String({ pattern: "^[0-9a-f]{64}$" }),
  /** of the machine that was written down: its memory is taken for no other's */
  subject: Type.String(),
  /** size and last change of the disk: the memory believes to know it */
  disk: Type.String(),
});
type Facts = Static<typeof Facts>;

const FACTS = "template.json";
const KEY_BYTES = 32;
/** of an image, on this machine */
const MAX_TEMPLATES = 8;
const DRAFT = ".draft";
/** in the name of a draft: the process that makes it */
const MAKER = /\.(?<pid>\d+)-(?<startTime>\d+)-[0-9a-f-]+\.draft$/;
const COPY_MS = 600_000;
const OTHERS = 0o077;

/** A booted machine that was written down before it was anybody's, with the disk that it had then. */
export class Template {
  readonly #folder: string;
  readonly #facts: Facts;

  constructor(folder: string, facts: Facts) {
    this.#folder = folder;
    this.#facts = facts;
  }

  /** @throws AegisError `snapshot_unusable` */
  async open(): Promise<WrittenMachine> {
    const { key, subject } = this.#facts;
    const snapshot = snapshotFolder(diskOf(this.#folder));
    const { id } = await snapshot.readFacts();
    return snapshot.open(sealingOf(Buffer.from(key, "hex"), subject, id));
  }

  /** @returns the copy, in a folder that is made for it @throws AegisError `snapshot_unusable` */
  async copyDisk(folder: string): Promise<string> {
    const [from, to] = [imagePath(diskOf(this.#folder)), imagePath(folder)];
    if ((await diskFingerprint(from).catch(() => "")) !== this.#facts.disk)
      throw unusable("the disk of its template was changed");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await runCommand("cp", ["--sparse=always", "--reflink=auto", from, `${to}.new`], { timeoutMs: COPY_MS });
    await rename(`${to}.new`, to);
    return to;
  }
}

/** Where a template is being made, and of what: a machine of that id, whose disk is in that folder, hibernated with that key. */
export interface TemplateDraft {
  instanceId: string;
  diskFolder: string;
  key: Uint8Array;
}

/** Templates of all images, each kept with its image, for every home that shares the store. */
export class Templates {
  readonly #platform: string;

  /** @param platform a template is of use on no other */
  constructor(platform: string) {
    this.#platform = platform;
  }

  /** Everything that a machine is made of, but for who it is: one template is there for it, or none. */
  folderOf({ image, rootfs, user, memoryMb, vcpus, diskMb, readOnlyRoot }: WarmSpec): string {
    const parts = [this.#platform, image.digest, rootfs, user, memoryMb, vcpus, diskMb, readOnlyRoot];
    const name = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
    return join(image.derived, "templates", name);
  }

  /** @returns null where there is none, or it is not to be trusted */
  async find(spec: WarmSpec): Promise<Template | null> {
    const folder = this.folderOf(spec);
    const found = await stat(join(folder, FACTS)).catch(() => null);
    if (found === null || found.uid !== process.getuid?.() || (found.mode & OTHERS) !== 0) return null;
    const facts = await readFacts(folder);
    if (facts?.platform !== this.#platform) return null;
    await utimes(folder, new Date(), new Date());
    return new Template(folder, facts);
  }

  /** Keeps what `fill` makes; of what fails nothing is left. */
  async make(spec: WarmSpec, fill: (draft: TemplateDraft) => Promise<void>): Promise<void> {
    const folder = this.folderOf(spec);
    const draft = await draftOf(folder);
    const key = randomBytes(KEY_BYTES);
    await mkdir(dirname(folder), { recursive: true });
    await mkdir(draft, { mode: 0o700 });
    try {
      const instanceId = `template-${randomBytes(4).toString("hex")}`;
      await fill({ instanceId, diskFolder: diskOf(draft), key });
      const disk = await diskFingerprint(imagePath(diskOf(draft)));
      const platform = this.#platform;
      const facts: Facts = { version: 1, platform, key: key.toString("hex"), subject: instanceId, disk };
      await writeFile(join(draft, FACTS), JSON.stringify(facts), { mode: 0o600 });
      await this.drop(spec);
      await rename(draft, folder);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    await this.#prune(dirname(folder));
  }

  async drop(spec: WarmSpec): Promise<void> {
    await rm(this.folderOf(spec), { recursive: true, force: true });
  }

  /** Those of another platform, those that a killed daemon began, and of too many those that were used least lately. */
  async #prune(folder: string): Promise<void> {
    const found: { path: string; usedAt: number }[] = [];
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.NaN }));
      if (await isBeingMade(name)) continue;
      const isDraft = name.endsWith(DRAFT);
      if (isDraft || (await readFacts(path))?.platform !== this.#platform)
        await rm(path, { recursive: true, force: true });
      else found.push({ path, usedAt: mtimeMs });
    }
    found.sort((one, other) => other.usedAt - one.usedAt);
    for (const { path } of found.slice(MAX_TEMPLATES)) await rm(path, { recursive: true, force: true });
  }
}

/** @throws Error where there is no /proc */
async function draftOf(folder: string): Promise<string> {
  const maker = await identifyProcess(process.pid);
  if (maker === null) throw new Error("/proc does not show this process");
  return `${folder}.${maker.pid}-${maker.startTime}-${randomUUID()}${DRAFT}`;
}

/** A draft of a daemon that was killed is none any more. */
async function isBeingMade(name: string): Promise<boolean> {
  const { pid, startTime } = MAKER.exec(name)?.groups ?? {};
  return pid !== undefined && startTime !== undefined && isAlive({ pid: Number(pid), startTime });
}

async function readFacts(folder: string): Promise<Facts | null> {
  try {
    const facts: unknown = JSON.parse(await readFile(join(folder, FACTS), "utf8"));
    return Check(Facts, facts) ? facts : null;
  } catch {
    return null; // none, or a broken one: it is made again
  }
}

const diskOf = (folder: string): string => join(folder, "disk");
