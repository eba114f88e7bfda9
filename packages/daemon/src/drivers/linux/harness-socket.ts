import { once } from "node:events";
import { chmod, rename, rm } from "node:fs/promises";
import net from "node:net";
import type { Duplex } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";

/** Longest path that a unix socket may have on Linux, without the closing zero byte. */
export const MAX_SOCKET_PATH = 107;

/** A listening socket that a harness will inherit. The host reaches it by path, the instance by descriptor alone. */
export interface ListeningSocket {
  fd: number;
  /** Gives up the host's own end; the harness's lives on. */
  close(): Promise<void>;
}

/** @param path where the socket appears; an older one there is replaced */
export async function listenForHarness(path: string): Promise<ListeningSocket> {
  const server = net.createServer();
  // Closing the server removes the path it listened on, so the socket is moved away from there.
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  server.listen(temporary);
  await once(server, "listening");
  await chmod(temporary, 0o600);
  await rename(temporary, path);
  return { fd: descriptorOf(server), close: () => new Promise((resolve) => server.close(() => resolve())) };
}

function descriptorOf(server: net.Server): number {
  const handle: unknown = Reflect.get(server, "_handle");
  const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  if (typeof fd !== "number" || fd < 0)
    throw new Error("this Node.js does not tell the descriptor of a listening socket");
  return fd;
}

/** @throws AegisError `guest_unreachable` when nobody listens */
export async function dialHarness(path: string, signal?: AbortSignal): Promise<Duplex> {
  signal?.throwIfAborted();
  const socket = net.connect({ path, allowHalfOpen: true });
  try {
    await once(socket, "connect", signal === undefined ? {} : { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    if (signal?.aborted === true) throw error;
    throw new AegisError(
      "guest_unreachable",
      "The instance does not answer: its harness is gone. Start the instance again.",
      {
        cause: error,
      },
    );
  }
}
