import type { Server } from "node:http";
import { AegisError } from "@aegis/protocol/errors";

/** Listens and tells the port. @throws AegisError `port_taken` */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const taken = "code" in cause && cause.code === "EADDRINUSE";
      reject(
        taken
          ? new AegisError(
              "port_taken",
              `Port ${port} of ${host} is in use, so the relay cannot listen on it. Free it, or choose another port.`,
              { cause },
            )
          : cause,
      );
    });
    server.listen(port, host, () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("not a TCP server"));
      resolve(address.port);
    });
  });
}

/** Ends the server and every connection to it. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
