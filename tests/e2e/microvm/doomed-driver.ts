import {
  MicrovmDriver,
  type MicrovmDriverOptions,
} from "../../../packages/daemon/src/drivers/microvm/microvm-driver.ts";
import { Cgroup } from "../../../packages/daemon/src/drivers/linux/cgroup.ts";
import { QmpClient } from "../../../packages/daemon/src/drivers/microvm/qmp-client.ts";
import { SnapshotFolder } from "../../../packages/daemon/src/drivers/microvm/snapshot-store.ts";
import type { MachineSpec } from "../../../packages/daemon/src/core/driver.ts";

/** Between which two steps a process dies that hibernates a machine, or takes one up. */
export type DeathPoint =
  | "its memory is written"
  | "all of it is written"
  | "QEMU has ended"
  | "the memory is opened"
  | "the memory is used up"
  | "the machine goes on";

export interface Doom {
  options: Omit<MicrovmDriverOptions, "log">;
  spec: MachineSpec;
  key: string;
  point: DeathPoint;
}

type AsyncMethod = (...args: never[]) => Promise<unknown>;

/** Lets a method do its work, and nothing behind it. */
function dieBehind<K extends string>(prototype: Record<K, AsyncMethod>, name: K, wanted?: string): void {
  const method = prototype[name];
  Object.assign(prototype, {
    async [name](this: unknown, ...args: never[]) {
      const result = await method.apply(this, args);
      if (wanted === undefined || args[0] === wanted) process.kill(process.pid, "SIGKILL");
      return result;
    },
  });
}

function arrange(point: DeathPoint): void {
  switch (point) {
    case "its memory is written":
      return dieBehind(SnapshotFolder.prototype, "writeMemory");
    case "all of it is written":
      return dieBehind(SnapshotFolder.prototype, "writeFacts");
    case "QEMU has ended":
      return dieBehind(Cgroup.prototype, "kill");
    case "the memory is opened":
      return dieBehind(SnapshotFolder.prototype, "open");
    case "the memory is used up":
      return dieBehind(SnapshotFolder.prototype, "useUp");
    case "the machine goes on":
      return dieBehind(QmpClient.prototype, "execute", "cont");
  }
}

const doom = JSON.parse(process.argv[2] ?? "") as Doom;
const key = Buffer.from(doom.key, "hex");
const driver = new MicrovmDriver({ ...doom.options, log: () => undefined });
await driver.start();
const [machine] = await driver.adopt();
if (machine !== undefined) await machine.pause();
arrange(doom.point);
await (machine === undefined ? driver.restore(doom.spec, key) : machine.hibernate?.(key, new AbortController().signal));
throw new Error(`it lived on: ${doom.point}`);
