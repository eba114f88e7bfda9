import { mkdirSync, rmSync } from "node:fs";
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { RunParams } from "@aegis/protocol/control";
import { messageOf } from "@aegis/protocol/errors";
import { errnoOf, GuestError } from "./guest-error.ts";
import type { ReverseTarget } from "./reverse-streams.ts";

const LOOPBACK = "127.0.0.1";

/** The ports and the socket that the harness opens inside the instance. */
export class GuestListeners {
  readonly #connected: (socket: Socket, target: ReverseTarget) => void;
  readonly #socketPath: string;
  #servers: Server[] = [];

  /** @param connected gets each connection, paused and half-open */
  constructor(socketPath: string, connected: (socket: Socket, target: ReverseTarget) => void) {
    this.#socketPath = socketPath;
    this.#connected = connected;
  }

  /** @throws GuestError `spawn_failed` when a port cannot be had; then none is open */
  async open({ guest_api_port, bindings }: Pick<RunParams, "guest_api_port" | "bindings">): Promise<void> {
    try {
      await this.#openPort(guest_api_port, { kind: "guest_api" }, "the Guest API");
      for (const { name, port } of bindings)
        await this.#openPort(port, { kind: "binding", binding: name }, `the binding "${name}"`);
      await this.#openSocket();
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  close(): void {
    for (const server of this.#servers) server.close();
    this.#servers = [];
  }

  async #openPort(port: number, target: ReverseTarget, what: string): Promise<void> {
    try {
      await this.#listen({ host: LOOPBACK, port }, target);
    } catch (thrown) {
      throw new GuestError(
        "spawn_failed",
        `Port ${port} for ${what} cannot be opened in the instance: ${portFailure(thrown)}`,
      );
    }
  }

  /** The socket is a convenience beside the port: a read-only root has no place for it. */
  async #openSocket(): Promise<void> {
    try {
      mkdirSync(dirname(this.#socketPath), { recursive: true });
      rmSync(this.#socketPath, { force: true }); // left by an earlier boot of the same disk
      await this.#listen({ path: this.#socketPath }, { kind: "guest_api" });
    } catch {
      return;
    }
  }

  #listen(where: ListenOptions, target: ReverseTarget): Promise<void> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#connected(socket, target),
    );
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(where, () => {
        server.off("error", reject);
        this.#servers.push(server);
        resolve();
      });
    });
  }
}

function portFailure(thrown: unknown): string {
  switch (errnoOf(thrown)) {
    case "EADDRINUSE":
      return "it is in use; choose another one.";
    case "EACCES":
      return "ports below 1024 need a privilege that an instance lacks; choose a higher one.";
    case "EADDRNOTAVAIL":
      return "the loopback interface is down.";
    default:
      return `${messageOf(thrown)}.`;
  }
}
