import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { isIPv6, connect } from "node:net";
import { DnsMessageReader, frameDnsMessage } from "./dns-message-reader.ts";
import { isAnswerTo, withId, type DnsQuery } from "./dns-message.ts";

const UDP_PATIENCE_MS = 2000;
const TCP_PATIENCE_MS = 5000;

export interface ResolverAddress {
  address: string;
  port: number;
}

export type AskUpstream = (server: ResolverAddress, query: DnsQuery) => Promise<Buffer | null>;

/** A fresh port and id for every question, and a connected socket, so that a stranger can hardly slip an answer in. */
export const askOverUdp: AskUpstream = async (server, query) => {
  const { promise, resolve } = Promise.withResolvers<Buffer | null>();
  const socket = createSocket(isIPv6(server.address.split("%")[0] ?? "") ? "udp6" : "udp4");
  const id = randomInt(65_536);
  const timer = setTimeout(() => resolve(null), UDP_PATIENCE_MS);
  socket.on("error", () => resolve(null));
  socket.on("message", (answer) => {
    if (isAnswerTo(answer, id, query)) resolve(withId(answer, query.id));
  });
  socket.connect(server.port, server.address, () => socket.send(withId(query.bytes, id)));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
};

export const askOverTcp: AskUpstream = async (server, query) => {
  const { promise, resolve } = Promise.withResolvers<Buffer | null>();
  const socket = connect({ host: server.address, port: server.port });
  const messages = new DnsMessageReader();
  const id = randomInt(65_536);
  const timer = setTimeout(() => resolve(null), TCP_PATIENCE_MS);
  socket.on("error", () => resolve(null));
  socket.on("close", () => resolve(null));
  socket.on("data", (chunk: Buffer) => {
    for (const answer of messages.push(chunk)) resolve(isAnswerTo(answer, id, query) ? withId(answer, query.id) : null);
  });
  socket.write(frameDnsMessage(withId(query.bytes, id)));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
};
