import { renameSync, rmSync, writeFileSync } from "node:fs";

/** For people and scripts; what keeps a second daemon out is the lock on the database, so it works without as well. */
export function writePidFile(file: string, warn: (message: string) => void): void {
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, `${process.pid}\n`);
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    warn(`the pid file could not be written: ${String(error)}`);
  }
}

export const removePidFile = (file: string): void => rmSync(file, { force: true });
