import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ownIdentity } from "./process-identity.ts";

/** Writes a file that is either the old or the new one, also after a power cut. Callers hold a lock. */
export async function writeFileAtomically(path: string, text: string): Promise<void> {
  const temporary = `${path}.${await ownIdentity()}`;
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
