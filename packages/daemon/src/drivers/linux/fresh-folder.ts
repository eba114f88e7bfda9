import { mkdir, rm } from "node:fs/promises";

/** An older boot's leavings go first: its machine is dead, or the caller would not boot another. */
export async function freshFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o711 });
}
