import net from "node:net";
import { AegisError } from "@aegis/protocol/errors";
import type { Knock } from "../core/dial-port.ts";
import type { EndpointRecord } from "../core/instance-record.ts";
import type { Ingress } from "../core/ingress.ts";
import type { OpenConnection } from "../core/open-connection.ts";
import type { ConnectionQuota } from "./connection-quota.ts";
import { unavailablePage } from "./unavailable-page.ts";
import { ReadAhead } from "./read-ahead.ts";
import { splice } from "./splice.ts";

type GuestEndpoint = Pick<EndpointRecord, "guestPort" | "protocol">;

export interface ConnectTarget {
  /** A connection to a port inside an instance, which it wakes. */
  connect(instanceId: string, endpoint: GuestEndpoint, knock: Knock): Promise<OpenConnection>;
}

/** Public ports on loopback, each for one guest port of one instance. */
export class PublicPorts implements Ingress {
  readonly #target: ConnectTarget;
  readonly #quota: ConnectionQuota;
  readonly #servers = new Map<number, { server: net.Server; sockets: Set<net.Socket> }>();

  constructor(target: ConnectTarget, quota: ConnectionQuota) {
    this.#target = target;
    this.#quota = quota;
  }

  async open(
    instanceId: string,
    endpoint: Omit<EndpointRecord, "publicPort"> & { publicPort: number | null },
  ): Promise<number> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => {
      if (!this.#quota.admit(socket, instanceId)) return;
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      void this.#serve(socket, instanceId, endpoint);
    });
    const port = await listen(server, endpoint.publicPort);
    this.#servers.set(port, { server, sockets });
    return port;
  }

  async close(publicPort: number): Promise<void> {
    const open = this.#servers.get(publicPort);
    if (open === undefined) return;
    this.#servers.delete(publicPort);
    for (const socket of open.sockets) socket.destroy();
    await new Promise<void>((resolve) => open.server.close(() => resolve()));
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#servers.keys()].map((port) => this.close(port)));
  }

  async #serve(socket: net.Socket, instanceId: string, endpoint: GuestEndpoint): Promise<void> {
    const gone = new AbortController();
    socket.on("error", () => socket.destroy());
    socket.once("close", () => gone.abort());
    try {
      const ahead = new ReadAhead(socket);
      const knock = { signal: gone.signal, early: ahead.take };
      const connection = await this.#target.connect(instanceId, endpoint, knock);
      if (socket.destroyed) return void connection.stream.destroy();
      const { all, left } = ahead.end();
      if (all.length > 0) connection.fromOutside(all);
      if (left.length > 0) connection.stream.write(left);
      socket.on("data", (chunk: Buffer) => connection.fromOutside(chunk));
      splice(socket, connection.stream);
    } catch (error) {
      if (endpoint.protocol === "tcp" || socket.destroyed) return void socket.destroy();
      socket.end(unavailablePage(error));
    }
  }
}

function listen(server: net.Server, port: number | null): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(toPortError(error, port)));
    server.listen({ host: "127.0.0.1", port: port ?? 0, backlog: 1024 }, () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("a TCP server without a port"));
      // an accept that fails, because there is no descriptor left or the client has gone, is the client's loss alone
      server.removeAllListeners("error").on("error", () => undefined);
      resolve(address.port);
    });
  });
}

function toPortError(error: NodeJS.ErrnoException, port: number | null): Error {
  if (error.code === "EADDRINUSE") {
    return new AegisError(
      "port_taken",
      `Public port ${port} is in use by another program. Choose another, or leave public_port out.`,
    );
  }
  if (error.code === "EACCES") {
    return new AegisError("port_taken", `Public port ${port} may not be opened by this user. Choose one above 1023.`);
  }
  return error;
}
