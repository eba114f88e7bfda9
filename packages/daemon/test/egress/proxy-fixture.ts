import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import type { Binding, BindingUsage } from "@aegis/protocol/binding";
import { AegisError } from "@aegis/protocol/errors";
import type { AuditRecord } from "../../src/core/audit.ts";
import { BindingBook } from "../../src/core/binding-book.ts";
import { checkedBindings } from "../../src/core/checked-bindings.ts";
import type { InstanceRecord } from "../../src/core/instance-record.ts";
import { UsageLedger } from "../../src/core/usage-ledger.ts";
import { BindingProxy, type BindingProxyDeps } from "../../src/egress/binding-proxy.ts";

const INSTANCE = "inst-1";

export interface Answered {
  status: number;
  headers: http.IncomingHttpHeaders;
  trailers: NodeJS.Dict<string>;
  text: string;
}

export interface ProxyFixture {
  /** the loopback port that stands for the binding's port inside */
  port: number;
  secrets: Map<string, string>;
  audited: AuditRecord[];
  usage(): BindingUsage;
  /** how many requests keep the instance awake */
  held(): number;
  call(path: string, options?: http.RequestOptions & { body?: string | Buffer }): Promise<Answered>;
  /** sends bytes as they are and returns all that comes back until the connection ends */
  raw(request: string): Promise<string>;
}

/** The proxy with one binding, whose connections come from a real socket. Ended with the test. */
export async function proxyFixture(
  binding: Omit<Binding, "name" | "port">,
  waits: Pick<BindingProxyDeps, "waitMs"> = {},
): Promise<ProxyFixture> {
  const [checked] = checkedBindings([{ name: "api", port: 8001, ...binding }]);
  if (checked === undefined) throw new Error("there is one");
  const record = {
    id: INSTANCE,
    parentId: null,
    spec: { bindings: [checked] },
    grant: {},
  } as unknown as InstanceRecord;
  const usage = new UsageLedger({ load: () => [], save: () => undefined }, () => undefined);
  const secrets = new Map([["KEY", "the-secret-key"]]);
  const audited: AuditRecord[] = [];
  const proxy = new BindingProxy({
    ...waits,
    secrets: { reveal: (name) => secrets.get(name) ?? missing(name) },
    book: new BindingBook(usage, (id) => (id === INSTANCE ? record : undefined)),
    audit: { record: (entry) => void audited.push(entry) },
  });
  let held = 0;
  const hold = () => {
    held += 1;
    return () => void (held -= 1);
  };
  const caller = { id: INSTANCE, handle: "box", boot: 1, connections: { hold } };
  const inside = net.createServer({ allowHalfOpen: true }, (socket) => proxy.accept(socket, caller, "api"));
  const port = await listening(inside);
  onTestFinished(() => proxy.close());
  return {
    port,
    secrets,
    audited,
    usage: () => usage.row(INSTANCE, "api").own,
    held: () => held,
    call: (path, options = {}) => call(port, path, options),
    raw: async (request) => {
      const socket = net.connect(port, "127.0.0.1");
      socket.write(request);
      return text(socket);
    },
  };
}

const missing = (name: string): never => {
  throw new AegisError("secret_not_found", `There is no secret ${name}.`);
};

async function call(
  port: number,
  path: string,
  { body, ...options }: http.RequestOptions & { body?: string | Buffer },
): Promise<Answered> {
  const request = http.request({ host: "127.0.0.1", port, path, agent: false, ...options });
  const answer = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once("response", resolve).on("error", reject);
  });
  request.end(body);
  const response = await answer;
  const content = await text(response);
  return { status: response.statusCode ?? 0, headers: response.headers, trailers: response.trailers, text: content };
}

/** Opens a server on loopback until the test is over. @returns its port */
export async function listening(server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** An upstream. @returns its URL */
export async function upstreamDouble(answer: http.RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listening(http.createServer(answer))}`;
}

/** Says what it was asked. */
export const echo: http.RequestListener = (request, response) => {
  const { method, url, headers } = request;
  text(request).then(
    (body) => response.end(JSON.stringify({ method, url, headers, body })),
    () => response.destroy(),
  );
};

export interface Echoed {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

export const echoed = ({ text: json }: Answered): Echoed => JSON.parse(json) as Echoed;
