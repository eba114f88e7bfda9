import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chown, open, rm } from "node:fs/promises";
import net from "node:net";
import { AegisError } from "@aegis/protocol/errors";
import { usedPages } from "./guest-pages.ts";
import type { QmpClient } from "./qmp-client.ts";
import { diskFingerprint, sealingOf, type BootFacts, type SnapshotFolder } from "./snapshot-store.ts";

/** as fast as it goes: the default is 1 Gbit/s */
const BYTES_PER_S = 64 * 1024 ** 3;

export interface HibernationParts {
  monitor: QmpClient;
  /** where QEMU hands over what its devices know */
  socketPath: string;
  /** QEMU's user */
  user: number;
  /** file of the guest's memory */
  memory: string;
  diskImage: string;
  snapshot: SnapshotFolder;
  facts: BootFacts;
  /** ends QEMU, and waits until it is gone */
  end: () => Promise<void>;
}

/** Both ends of a move tell how it goes, and leave to us the memory of the guest, which is a file. */
export async function prepareMove(monitor: QmpClient): Promise<void> {
  await monitor.execute("migrate-set-capabilities", {
    capabilities: ["events", "x-ignore-shared"].map((capability) => ({ capability, state: true })),
  });
  await monitor.execute("migrate-set-parameters", { "max-bandwidth": BYTES_PER_S });
}

/**
 * Writes the memory of a machine that stands still, then ends it. When it fails the machine is as it was. Until QEMU has
 * ended the machine could go on, and before that happens all is written: its disk is no longer QEMU's by then.
 */
export async function hibernateMachine(
  parts: HibernationParts,
  key: Uint8Array,
  subject: string,
  signal: AbortSignal,
): Promise<void> {
  const { monitor, snapshot } = parts;
  signal.throwIfAborted();
  const id = randomUUID();
  const sealing = sealingOf(key, subject, id);
  const server = await listenFor(parts);
  try {
    await leaveEarlierMove(monitor);
    await prepareMove(monitor);
    const ended = monitor.migrationEnd();
    const arrived = once(server, "connection", { signal }) as Promise<[net.Socket]>;
    arrived.catch(() => undefined);
    await monitor.execute("migrate", { uri: `unix:${parts.socketPath}` });
    const [socket] = await Promise.race([arrived, ended.then(() => arrived)]);
    await snapshot.writeDevices(socket, sealing, signal);
    // by then nothing changes its memory any more: QEMU has let go of what it had under way
    await ended;
    await using memory = await open(parts.memory);
    await snapshot.writeMemory(usedPages(memory), sealing, signal);
    await snapshot.writeFacts({ ...parts.facts, id, disk: await diskFingerprint(parts.diskImage) });
  } catch (error) {
    await monitor.execute("migrate_cancel").catch(() => undefined);
    await snapshot.drop();
    signal.throwIfAborted();
    throw explained(error);
  } finally {
    server.close();
    await rm(parts.socketPath, { force: true });
  }
  await parts.end();
}

/** A machine whose memory was moved already, for a daemon that died then, moves it again only after it has gone on. */
async function leaveEarlierMove(monitor: QmpClient): Promise<void> {
  const { status } = (await monitor.execute("query-status")) as { status?: unknown };
  if (status !== "postmigrate") return;
  await monitor.execute("cont");
  await monitor.execute("stop");
}

async function listenFor({ socketPath, user }: HibernationParts): Promise<net.Server> {
  await rm(socketPath, { force: true });
  const server = net.createServer();
  server.maxConnections = 1;
  server.listen(socketPath);
  await once(server, "listening");
  await chown(socketPath, user, user);
  return server;
}

function explained(error: unknown): AegisError {
  const why = error instanceof Error ? error.message : String(error);
  if (why.includes("vhost-user-fs"))
    return new AegisError(
      "driver_failed",
      "An instance with a workspace cannot be hibernated: this QEMU cannot write down a folder that is shared with the host. Stop it instead, or let it stay paused.",
    );
  if (error instanceof AegisError) return error;
  return new AegisError("driver_failed", `The virtual machine cannot be written down: ${why}`, { cause: error });
}
