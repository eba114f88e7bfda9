import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync, readdirSync } from "node:fs";
import type { Dirent } from "node:fs";
import { join } from "node:path";

const CHUNK_BYTES = 1024 * 1024;
const PAGE_BYTES = 4096;

/** Something that must be nowhere, in each of the forms that it may be hidden in. */
export class Canary {
  readonly value: string;
  readonly #forms: Buffer[];

  constructor(value = `canary-${randomBytes(18).toString("hex")}`, bytes = Buffer.from(value)) {
    this.value = value;
    const texts = [value, bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url")];
    // V8 keeps some strings with two bytes a character
    this.#forms = [bytes, ...texts.map((text) => Buffer.from(text)), Buffer.from(value, "utf16le")];
  }

  isIn(data: Buffer | string): boolean {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    return this.#forms.some((form) => bytes.includes(form));
  }

  /** Whether it is in a piece of a file, or of a process's memory. */
  isInFile(path: string, start = 0, end = Infinity): boolean {
    const overlap = Math.max(...this.#forms.map(({ length }) => length));
    const chunk = Buffer.alloc(CHUNK_BYTES + overlap);
    let fd: number | null = null;
    try {
      fd = openSync(path, "r");
      for (let at = start, kept = 0; at < end;) {
        const read = readSync(fd, chunk, kept, Math.min(CHUNK_BYTES, end - at), at);
        if (read === 0) return false;
        if (this.isIn(chunk.subarray(0, kept + read))) return true;
        const keep = Math.min(overlap, kept + read);
        chunk.copy(chunk, 0, kept + read - keep, kept + read);
        kept = keep;
        at += read;
      }
      return false;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    } finally {
      if (fd !== null) closeSync(fd);
    }
  }

  /** Files under a folder that have it in them. */
  inFolder(root: string): string[] {
    return filesIn(root).filter((path) => this.isInFile(path));
  }

  /** Command lines of the processes on this machine that have it in them, or in their environment. */
  inProcesses(): string[] {
    return pids().flatMap((pid) => {
      const cmdline = procFile(pid, "cmdline");
      return this.isIn(cmdline) || this.isIn(procFile(pid, "environ"))
        ? [cmdline.toString().replaceAll("\0", " ").trim()]
        : [];
    });
  }

  /** Whether a process has it anywhere in its own memory. One that has ended has none, also while it waits to be reaped. */
  isInMemoryOf(pid: number): boolean {
    try {
      return this.#isInRanges(pid, openSync(`/proc/${pid}/pagemap`, "r"));
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  #isInRanges(pid: number, pagemap: number): boolean {
    try {
      return writableRanges(pid)
        .flatMap(([from, to]) => presentRanges(pagemap, from, to))
        .some(([from, to]) => this.isInFile(`/proc/${pid}/mem`, from, to));
    } finally {
      closeSync(pagemap);
    }
  }
}

type Range = [from: number, to: number];

const writableRanges = (pid: number): Range[] =>
  procFile(pid, "maps")
    .toString()
    .split("\n")
    .flatMap((line) => {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      return from === undefined || to === undefined ? [] : [[Number.parseInt(from, 16), Number.parseInt(to, 16)]];
    });

/** The parts of a range of addresses that are in memory or in swap: runtimes reserve far more than they use. */
function presentRanges(pagemap: number, from: number, to: number): Range[] {
  const entries = Buffer.alloc(((to - from) / PAGE_BYTES) * 8);
  const read = readSync(pagemap, entries, 0, entries.length, (from / PAGE_BYTES) * 8);
  const ranges: Range[] = [];
  for (let at = 0; at < read; at += 8) {
    // the two highest bits: present, swapped out
    if ((entries[at + 7] ?? 0) < 0x40) continue;
    const page = from + (at / 8) * PAGE_BYTES;
    const last = ranges.at(-1);
    if (last?.[1] === page) last[1] += PAGE_BYTES;
    else ranges.push([page, page + PAGE_BYTES]);
  }
  return ranges;
}

/** Processes whose control group says that they belong to an instance. */
export const processesOf = (instanceId: string): number[] =>
  pids().filter((pid) => procFile(pid, "cgroup").includes(instanceId));

const pids = (): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

function procFile(pid: number, name: string): Buffer {
  try {
    return readFileSync(`/proc/${pid}/${name}`);
  } catch (error) {
    if (isGone(error)) return Buffer.alloc(0);
    throw error;
  }
}

/** What is not there any more, or memory that no page lies behind. */
const isGone = (error: unknown): boolean =>
  error instanceof Error && "code" in error && ["ENOENT", "ESRCH", "EIO", "EACCES"].includes(String(error.code));

/** Without what links lead to. */
const filesIn = (root: string): string[] =>
  entriesOf(root).flatMap((entry) => {
    const path = join(root, entry.name);
    return entry.isDirectory() ? filesIn(path) : entry.isFile() ? [path] : [];
  });

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}
