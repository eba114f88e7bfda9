import { open } from "node:fs/promises";
import type { AuditVerdict } from "@aegis/protocol/audit";
import type { AuditFolder } from "./audit-folder.ts";
import { LineReader, hashOf, parseLine } from "./audit-lines.ts";

interface Head {
  seq: number;
  hash: string;
}

/**
 * Follows the chain of hashes through all files.
 * @param head the newest entry, as the daemon knows it: a log that has lost its end is noticed too
 */
export async function verifyAudit(folder: AuditFolder, { ...head }: Head): Promise<AuditVerdict> {
  const files = folder.files();
  const verdict: AuditVerdict = { entries: 0, files: files.length, first_seq: null, last_seq: null, broken: null };
  let before: Head | null = null;
  for (const firstSeq of files) {
    for await (const line of linesOf(folder.path(firstSeq))) {
      const entry = parseLine(line);
      // what was appended while this was reading is none of its business
      if (entry !== null && entry.seq > head.seq) break;
      verdict.broken ??= complaint(line, before);
      if (entry === null) continue;
      verdict.entries += 1;
      verdict.first_seq ??= entry.seq;
      verdict.last_seq = entry.seq;
      before = { seq: entry.seq, hash: hashOf(line) };
    }
  }
  if (verdict.broken === null && (before?.seq ?? 0) !== head.seq)
    verdict.broken = `the log ends with entry ${before?.seq ?? 0}, but ${head.seq} were written`;
  if (verdict.broken === null && before !== null && before.hash !== head.hash)
    verdict.broken = `entry ${head.seq} is not what was written`;
  return verdict;
}

function complaint(line: string, before: Head | null): string | null {
  const entry = parseLine(line);
  const place = before === null ? "at the beginning" : `after entry ${before.seq}`;
  if (entry === null) return `there is a line ${place} that is no entry`;
  if (before === null) return null;
  if (entry.seq !== before.seq + 1) return `entry ${before.seq + 1} is missing`;
  return entry.prev === before.hash ? null : `entry ${before.seq} was changed`;
}

async function* linesOf(path: string): AsyncGenerator<string> {
  await using file = await open(path);
  const reader = new LineReader(file);
  for (let lines = await reader.next(); lines !== null; lines = await reader.next()) yield* lines;
}
