import { chmodSync, chownSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { invoker } from "./aegis-home.ts";
import type { DaemonPlace } from "./daemon-env.ts";

/** Makes a home and a folder in it where they are not there yet, for the person who called. @returns the folder */
export function openHomeFolder(place: DaemonPlace, name: string): string {
  const folder = join(place.home, name);
  for (const path of [place.home, folder]) {
    if (existsSync(path)) continue;
    mkdirSync(path, { recursive: true });
    // as the daemon makes them: an instance's root must be able to pass through to its own files
    chmodSync(path, 0o711);
    chownSync(path, ...ownerOf(place));
  }
  return folder;
}

export function ownerOf(place: DaemonPlace): [uid: number, gid: number] {
  const { uid, gid } = invoker(place.env);
  return [uid, gid];
}
