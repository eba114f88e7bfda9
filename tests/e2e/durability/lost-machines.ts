import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect } from "vitest";
import { hasEnded, homeKeyOf, pids, runFolderOf, signal, textOf } from "../home-on-host.ts";

/** The processes of a home's instance on the host; of all its instances for an empty id. */
export function processesOf(home: string, id: string): number[] {
  const group = `/aegis/${homeKeyOf(home)}/${id}`;
  return pids().filter((pid) => textOf(`/proc/${pid}/cgroup`).includes(group) && !hasEnded(pid));
}

/** As if what a home has stored had been written in another boot of the host, which took all machines with it. */
export async function loseMachines(home: string, oldBoot: string): Promise<void> {
  const db = new DatabaseSync(join(home, "data/aegis.db"));
  db.prepare("UPDATE observation SET body = json_set(body, '$.hostBoot', ?)").run(oldBoot);
  db.close();
  for (const pid of processesOf(home, "")) signal(pid, "SIGKILL");
  await expect.poll(() => processesOf(home, "")).toEqual([]);
  rmSync(runFolderOf(homeKeyOf(home)), { recursive: true, force: true });
}
