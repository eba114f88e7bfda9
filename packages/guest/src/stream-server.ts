import { createServer } from "node:net";
import type { Duplex } from "node:stream";
import { type ExecHeader, MAX_LINE_BYTES, type StreamReply } from "@aegis/protocol/control";
import { FirstLine } from "@aegis/protocol/first-line";
import { messageOf } from "@aegis/protocol/errors";
import { GuestError } from "./guest-error.ts";
import { parseStreamHeader } from "./stream-header.ts";

/** How long a host may take to send the header line, in ms. */
const HEADER_TIMEOUT_MS = 30_000;

/**
 * What the streams of the host lead to. A stream comes paused, may be half open, and has the bytes behind its header in
 * it; it is a socket, or one of many on a character device.
 */
export interface StreamHandlers {
  control(socket: Duplex): void;
  /** @throws GuestError */
  port(socket: Duplex, port: number): Promise<void>;
  /** @throws GuestError */
  exec(socket: Duplex, header: ExecHeader): Promise<void>;
  /** @throws GuestError */
  accept(socket: Duplex, streamId: string): void;
}

/** Takes the host's streams off an inherited listening socket and hands each to its handler. */
export function serveStreams(listenFd: number, handlers: StreamHandlers): Promise<void> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    serveStream(socket, handlers);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ fd: listenFd }, () => {
      server.off("error", reject);
      server.on("error", (error) => process.stderr.write(`aegis-guest: ${error.message}\n`));
      resolve();
    });
  });
}

/** @param socket paused and half-open, of a host that has yet to say what it wants */
export function serveStream(socket: Duplex, handlers: StreamHandlers): void {
  socket.on("error", () => socket.destroy());
  void serve(socket, handlers);
}

export const reply = (socket: Duplex, message: StreamReply): boolean => socket.write(`${JSON.stringify(message)}\n`);

async function serve(socket: Duplex, handlers: StreamHandlers): Promise<void> {
  try {
    const line = await readHeader(socket);
    if (line !== null) await dispatch(socket, line, handlers);
  } catch (thrown) {
    const code = thrown instanceof GuestError ? thrown.code : "spawn_failed";
    reply(socket, { ok: false, code, error: messageOf(thrown) });
    socket.end();
    socket.resume();
  }
}

function dispatch(socket: Duplex, line: string, handlers: StreamHandlers): Promise<void> | void {
  const header = parseStreamHeader(line);
  switch (header.kind) {
    case "control":
      return handlers.control(socket);
    case "port":
      return handlers.port(socket, header.port);
    case "exec":
      return handlers.exec(socket, header);
    case "accept":
      return handlers.accept(socket, header.stream_id);
  }
}

/** @returns null when the stream ended before its header was there; @throws GuestError `invalid_header` */
function readHeader(socket: Duplex): Promise<string | null> {
  const first = new FirstLine(MAX_LINE_BYTES);
  return new Promise((resolve, reject) => {
    const settle = (line: string | null, error?: GuestError) => {
      clearTimeout(timeout);
      socket.pause();
      socket.off("data", take).off("end", gone).off("close", gone);
      if (error !== undefined) return reject(error);
      if (line === null) socket.destroy();
      resolve(line);
    };
    const gone = () => settle(null);
    const take = (chunk: Buffer) => {
      try {
        const found = first.push(chunk);
        if (found === null) return;
        settle(found.line);
        if (found.rest.length > 0) socket.unshift(found.rest);
      } catch (thrown) {
        settle(null, new GuestError("invalid_header", `The stream header is not valid: ${messageOf(thrown)}.`));
      }
    };
    const timeout = setTimeout(gone, HEADER_TIMEOUT_MS);
    socket.on("data", take).on("end", gone).on("close", gone);
    socket.resume();
  });
}
