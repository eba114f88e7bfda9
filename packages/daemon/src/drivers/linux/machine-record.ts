import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DriverName } from "@aegis/protocol/instance";
import { NetworkPolicy } from "@aegis/protocol/network";
import Type, { type Static } from "typebox";
import { Check } from "typebox/value";
import { hostBootId, isAlive } from "./process-identity.ts";

/** What a later daemon must know to take a running machine up again. */
const MachineRecord = Type.Object({
  version: Type.Literal(1),
  /** absent where an older daemon made the machine: `container` */
  driver: Type.Optional(DriverName),
  instanceId: Type.String(),
  boot: Type.Integer(),
  pid: Type.Integer({ minimum: 2 }),
  startTime: Type.String(),
  hostBootId: Type.String(),
  slot: Type.Integer({ minimum: 0 }),
  /** absent where an older daemon made the machine: `open` */
  network: Type.Optional(NetworkPolicy),
  interfaceName: Type.Optional(Type.String()),
});
export type MachineRecord = Static<typeof MachineRecord>;

const FILE = "machine.json";

export async function writeMachineRecord(folder: string, record: MachineRecord): Promise<void> {
  const temporary = join(folder, `${FILE}.new`);
  await writeFile(temporary, JSON.stringify(record), { mode: 0o600 });
  await rename(temporary, join(folder, FILE));
}

/** @returns null when there is none, or only a broken one */
export async function readMachineRecord(folder: string): Promise<MachineRecord | null> {
  const text = await readFile(join(folder, FILE), "utf8").catch(() => null);
  if (text === null) return null;
  try {
    const record: unknown = JSON.parse(text);
    return Check(MachineRecord, record) ? record : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** What made the machines that an earlier daemon of the home left; null when it left none, or those of another boot of the host. */
export async function driverOfLeft(runFolder: string): Promise<DriverName | null> {
  const boot = await hostBootId();
  for (const name of await readdir(runFolder).catch(() => [])) {
    const record = await readMachineRecord(join(runFolder, name));
    if (record !== null && record.hostBootId === boot && (await isAlive(record))) return record.driver ?? "container";
  }
  return null;
}
