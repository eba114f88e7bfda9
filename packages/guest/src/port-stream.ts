import { connect, type Socket } from "node:net";
import { messageOf } from "@aegis/protocol/errors";
import { errnoOf, GuestError } from "./guest-error.ts";

const LOOPBACK = ["127.0.0.1", "::1"] as const;

/**
 * A connection to what listens on a loopback port of the instance.
 * @throws GuestError `connection_refused`
 */
export async function dialPort(port: number): Promise<Socket> {
  let failure: unknown;
  for (const host of LOOPBACK) {
    try {
      return await dial(host, port);
    } catch (thrown) {
      failure ??= thrown;
    }
  }
  const why = errnoOf(failure) === "ECONNREFUSED" ? "nothing listens there (yet)" : messageOf(failure);
  throw new GuestError("connection_refused", `Port ${port} in the instance refused the connection: ${why}.`);
}

function dial(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.pause();
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}
