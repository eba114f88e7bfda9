import { once } from "node:events";
import { chown, rm } from "node:fs/promises";
import net from "node:net";
import { AegisError } from "@aegis/protocol/errors";
import type { QmpClient } from "./qmp-client.ts";
import { diskFingerprint, type SnapshotFacts, type SnapshotFolder } from "./snapshot-store.ts";

/** as fast as it goes: the default is 1 Gbit/s */
const BYTES_PER_S = 64 * 1024 ** 3;

export interface HibernationParts {
  monitor: QmpClient;
  /** where QEMU hands its memory over */
  socketPath: string;
  /** QEMU's user */
  user: number;
  diskImage: string;
  snapshot: SnapshotFolder;
  facts: Omit<SnapshotFacts, "disk">;
  /** ends QEMU, and waits until it is gone */
  end: () => Promise<void>;
}

/** Both ends of a move tell how it goes. */
export async function prepareMove(monitor: QmpClient): Promise<void> {
  await monitor.execute("migrate-set-capabilities", { capabilities: [{ capability: "events", state: true }] });
  await monitor.execute("migrate-set-parameters", { "max-bandwidth": BYTES_PER_S });
}

/** Writes the memory of a machine that stands still, then ends it. When it fails the machine is as it was. */
export async function hibernateMachine(
  parts: HibernationParts,
  key: Uint8Array,
  subject: string,
  signal: AbortSignal,
): Promise<void> {
  const { monitor, snapshot } = parts;
  signal.throwIfAborted();
  const server = await listenFor(parts);
  try {
    await prepareMove(monitor);
    const ended = monitor.migrationEnd();
    const arrived = once(server, "connection", { signal }) as Promise<[net.Socket]>;
    arrived.catch(() => undefined);
    await monitor.execute("migrate", { uri: `unix:${parts.socketPath}` });
    const [socket] = await Promise.race([arrived, ended.then(() => arrived)]);
    await snapshot.writeMemory(socket, key, subject, signal);
    await ended;
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
  await snapshot.writeFacts({ ...parts.facts, disk: await diskFingerprint(parts.diskImage) });
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
