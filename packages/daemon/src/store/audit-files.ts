import { open } from "node:fs/promises";
import type { AuditEntry, AuditVerdict } from "@aegis/protocol/audit";
import type { AuditHealth } from "@aegis/protocol/status";
import { messageOf } from "@aegis/protocol/errors";
import type { AuditLog, AuditRead, AuditRecord } from "../core/audit.ts";
import { AuditFile } from "./audit-file.ts";
import { AuditFolder } from "./audit-folder.ts";
import { GENESIS, LineReader, hashOf, lineOf, parseLine } from "./audit-lines.ts";
import { verifyAudit } from "./verify-audit.ts";

const MAX_WAITING = 1000;
const SYNC_MS = 1000;
const RETRY_MS = 5000;

export interface AuditFilesOptions {
  folder: string;
  owner: { uid: number; gid: number };
  warn: (message: string) => void;
  /** a file is finished once it is this long */
  fileBytes?: number;
  /** finished and unfinished ones; older ones are removed */
  keptFiles?: number;
}

/**
 * The audit log as NDJSON files of mode 0600 that are only ever appended to. An entry is handed to the kernel before
 * `append` returns, so the end of the daemon loses none, however it ends; a power cut may take the last second, and of
 * refusals and of what concerns secrets what was not on disk a moment later.
 */
export class AuditFiles implements AuditLog {
  readonly #folder: AuditFolder;
  readonly #warn: (message: string) => void;
  readonly #fileBytes: number;
  readonly #keptFiles: number;
  readonly #followers = new Set<() => void>();
  #file: AuditFile | null = null;
  #head = { seq: 0, hash: GENESIS };
  #waiting: { ts: string; entry: AuditRecord }[] = [];
  #problem: string | null = null;
  #lost = 0;
  #retry: NodeJS.Timeout | undefined;
  #sync: NodeJS.Timeout | undefined;

  constructor({ folder, owner, warn, fileBytes = 16 * 1024 * 1024, keptFiles = 12 }: AuditFilesOptions) {
    this.#folder = new AuditFolder(folder, owner);
    this.#warn = warn;
    this.#fileBytes = fileBytes;
    this.#keptFiles = keptFiles;
    this.#write();
  }

  append(entry: AuditRecord): void {
    this.#waiting.push({ ts: new Date().toISOString(), entry });
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.shift();
      this.#lost += 1;
    }
    if (this.#retry !== undefined) return;
    this.#write();
    if (entry.decision !== "allowed" || entry.action.startsWith("secret.")) this.#syncNow();
    else this.#sync ??= setTimeout(() => this.#syncNow(), SYNC_MS).unref();
  }

  health(): AuditHealth {
    return { last_seq: this.#head.seq, problem: this.#problem, lost: this.#lost };
  }

  verify(): Promise<AuditVerdict> {
    return verifyAudit(this.#folder, this.#head);
  }

  async *read({ sinceSeq, follow }: AuditRead, signal: AbortSignal): AsyncGenerator<AuditEntry> {
    let news = Promise.withResolvers<void>();
    const wake = () => news.resolve();
    const waitForNews = async () => {
      await news.promise;
      news = Promise.withResolvers<void>();
    };
    this.#followers.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    try {
      for await (const line of this.#lines(sinceSeq, follow ? waitForNews : null, signal)) {
        const entry = parseLine(line);
        if (entry === null || entry.seq <= sinceSeq) continue;
        const { prev: _, ...shown } = entry;
        yield shown;
      }
    } finally {
      this.#followers.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#sync);
    this.#retry = undefined;
    this.#write();
    clearTimeout(this.#retry);
    this.#file?.close();
    this.#file = null;
  }

  // --- writing ------------------------------------------------------------------------------------------------------

  /** Everything that waits; what cannot be written is tried again later. */
  #write(): void {
    try {
      this.#file ??= this.#openNewest();
      if (this.#file.bytes >= this.#fileBytes) this.#file = this.#openNext(this.#file);
      const head = { ...this.#head };
      const lines = this.#waiting.map(({ ts, entry }) => {
        const line = lineOf(entry, ++head.seq, ts, head.hash);
        head.hash = hashOf(line);
        return `${line}\n`;
      });
      if (lines.length > 0) this.#file.append(lines.join(""));
      this.#head = head;
      this.#waiting = [];
      this.#mended();
    } catch (error) {
      this.#failed(error);
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.#write();
      }, RETRY_MS).unref();
      return;
    }
    for (const wake of this.#followers) wake();
  }

  #openNewest(): AuditFile {
    this.#folder.make();
    const files = this.#folder.files();
    const newest = files.at(-1) ?? 1;
    const file = new AuditFile(this.#folder, newest);
    if (file.wasTorn) this.#warn("the last entry of the audit log was cut short by a crash and is left out");
    this.#head = this.#headOf(file, newest) ?? this.#headBefore(files.slice(0, -1));
    return file;
  }

  #headOf(file: AuditFile, firstSeq: number): { seq: number; hash: string } | null {
    const last = file.last(firstSeq);
    return last === null ? null : { seq: last.seq, hash: hashOf(last.line) };
  }

  /** A crash may come between making a file and its first entry. */
  #headBefore(files: number[]): { seq: number; hash: string } {
    const newest = files.at(-1);
    if (newest === undefined) return { seq: 0, hash: GENESIS };
    const file = new AuditFile(this.#folder, newest);
    try {
      return this.#headOf(file, newest) ?? this.#headBefore(files.slice(0, -1));
    } finally {
      file.close();
    }
  }

  #openNext(full: AuditFile): AuditFile {
    const next = new AuditFile(this.#folder, this.#head.seq + 1);
    full.close();
    this.#folder.keep(this.#keptFiles);
    return next;
  }

  #syncNow(): void {
    clearTimeout(this.#sync);
    this.#sync = undefined;
    this.#file?.sync().catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    const problem = `the audit log cannot be written: ${messageOf(error)}`;
    if (this.#problem === null) this.#warn(problem);
    this.#problem = problem;
  }

  #mended(): void {
    if (this.#problem !== null) this.#warn(`the audit log is written again; ${this.#lost} entries were lost`);
    this.#problem = null;
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  /** @param waitForNews waits at the end for more; null to leave there */
  async *#lines(
    sinceSeq: number,
    waitForNews: (() => Promise<void>) | null,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    const files = this.#folder.files();
    let current = files.findLast((first) => first <= sinceSeq + 1) ?? files[0];
    while (current !== undefined && !signal.aborted) {
      await using file = await open(this.#folder.path(current)).catch(unlessGone);
      let next = file === null ? this.#after(current) : undefined;
      const reader = file === null ? null : new LineReader(file);
      while (reader !== null && !signal.aborted) {
        const lines = await reader.next();
        if (lines !== null) yield* lines;
        else if (next !== undefined) break;
        else {
          // the file may have grown before the next one was begun: it is read to its end once more
          next = this.#after(current);
          if (next !== undefined) continue;
          if (waitForNews === null) return;
          await waitForNews();
        }
      }
      current = next;
    }
  }

  #after(current: number): number | undefined {
    return this.#folder.files().find((first) => first > current);
  }
}

function unlessGone(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}
