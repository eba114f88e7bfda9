import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { AegisError } from "@aegis/protocol/errors";
import { MAX_WORKSPACE_FILE_BYTES } from "@aegis/protocol/workspace";
import type { Owner } from "../workspace-folders.ts";
import type { Pinned } from "./pinned.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
const DEFAULT_MODE = 0o644;

/**
 * Writes beside the file and renames: nobody sees half a file, and what a link or a hard link led to is never touched.
 * @returns how many bytes
 */
export async function replaceFile(
  folder: Pinned,
  name: string,
  owner: Owner,
  body: AsyncIterable<Uint8Array>,
  mode?: number,
): Promise<number> {
  const draft = folder.pathOf(`.aegis-upload-${randomBytes(8).toString("hex")}`);
  const handle = await open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    const size = await fill(handle, body);
    await handle.chown(owner.uid, owner.gid);
    await handle.chmod(mode ?? (await modeOf(folder, name)));
    await handle.datasync();
    await rename(draft, folder.pathOf(name));
    return size;
  } catch (error) {
    await unlink(draft).catch(() => undefined); // who runs inside may have taken it away
    throw error;
  } finally {
    await handle.close();
  }
}

async function fill(handle: FileHandle, body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_WORKSPACE_FILE_BYTES) throw tooLarge();
    await handle.writeFile(chunk);
  }
  return size;
}

async function modeOf(folder: Pinned, name: string): Promise<number> {
  const old = await folder.child(name).catch(() => null);
  if (old === null) return DEFAULT_MODE;
  await using held = old;
  return held.stats.isFile() ? held.stats.mode & 0o777 : DEFAULT_MODE;
}

const tooLarge = (): AegisError =>
  new AegisError(
    "too_large",
    `A file of a workspace may have ${MAX_WORKSPACE_FILE_BYTES} bytes through the API. Fetch larger ones from inside the instance.`,
  );
