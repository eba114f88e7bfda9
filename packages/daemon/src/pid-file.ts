import { renameSync, rmSync, writeFileSync } from "node:fs";

/** For people and scripts; what keeps a second daemon out is the lock on the database. */
export function writePidFile(file: string): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${process.pid}\n`);
  renameSync(draft, file);
}

export const removePidFile = (file: string): void => rmSync(file, { force: true });
