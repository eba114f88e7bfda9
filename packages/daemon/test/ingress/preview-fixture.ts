import { once } from "node:events";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import type { CreatePreview, PreviewView } from "@aegis/protocol/preview";
import type { Instance } from "../../src/core/instance.ts";
import { OpenConnection } from "../../src/core/open-connection.ts";
import { Previews } from "../../src/core/previews.ts";
import { ConnectionQuota } from "../../src/ingress/connection-quota.ts";
import { HttpRouter } from "../../src/ingress/http-router.ts";
import { PreviewAddress } from "../../src/ingress/previews/preview-address.ts";
import { PreviewGate } from "../../src/ingress/previews/preview-gate.ts";
import { PreviewServer } from "../../src/ingress/previews/preview-server.ts";
import { openDatabase } from "../../src/store/database.ts";
import { PreviewTable } from "../../src/store/preview-table.ts";
import { temporaryFolder } from "../temporary-folder.ts";

export interface Asked {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

export interface PreviewFixture {
  port: number;
  create(body?: CreatePreview): Promise<PreviewView>;
  /** asks the router the way a browser does that was sent to `url` */
  open(url: string, options?: { method?: string; headers?: Record<string, string>; body?: string }): Promise<Asked>;
  /** what the site was asked, newest last */
  seen: http.IncomingMessage[];
  now: number;
  /** what becomes of the way to the instance */
  connect: () => Promise<void>;
}

const HEADERS_TIMEOUT_MS = 3_000;

/** A router with previews over a real site, whose instance is a stand-in. */
export async function previewFixture(publicUrl: string | null = null): Promise<PreviewFixture> {
  const seen: http.IncomingMessage[] = [];
  const site = await startSite(seen);
  const database = openDatabase(join(temporaryFolder(), "aegis.db"));
  onTestFinished(() => database.close());
  database.exec(
    "INSERT INTO instance (id, handle, created_at, enabled, spec, grants) VALUES ('inst-1', 'site', '', 1, '{}', '{}')",
  );
  const address = new PreviewAddress();
  address.setPublicUrl(publicUrl);
  const fixture: PreviewFixture = {
    port: 0,
    seen,
    now: Date.parse("2026-01-01T00:00:00Z"),
    connect: async () => undefined,
    create: (body = {}) => previews.create(instance, body),
    open: (url, options) => ask(fixture.port, url, options),
  };
  const now = () => fixture.now;
  const previews = new Previews({ store: new PreviewTable(database), urlOf: (token) => address.urlOf(token), now });
  const gate = new PreviewGate({ key: () => Buffer.alloc(32, 7), now, open: (preview) => previews.open(preview) });
  const connect = async () => {
    await fixture.connect();
    const stream = net.connect(site, "127.0.0.1");
    await once(stream, "connect");
    stream.pause();
    const awake = { hold: () => () => undefined, touch: () => undefined, nudge: () => undefined };
    return new OpenConnection(stream, "http", awake);
  };
  const foreign: string[] = [];
  const router = new HttpRouter(
    { only: () => null, connectHttp: connect, onForeignHost: (host) => void foreign.push(host) },
    new PreviewServer({ previews, address, gate, connect }),
    new ConnectionQuota({ each: 100, all: 100 }, () => undefined),
    HEADERS_TIMEOUT_MS,
  );
  onTestFinished(() => router.close());
  fixture.port = await router.listen(0);
  address.routerPort = fixture.port;
  return fixture;
}

/** What a preview needs of an instance. */
const instance = {
  id: "inst-1",
  handle: "site",
  endpoints: { list: () => [{ guest_port: 3000, public_port: 1, protocol: "http", url: "" }] },
} as unknown as Instance;

async function startSite(seen: http.IncomingMessage[]): Promise<number> {
  const server = http.createServer((request, response) => {
    seen.push(request);
    if (request.url === "/moved") return void response.writeHead(302, { location: "/there" }).end();
    if (request.url === "/far") return void response.writeHead(302, { location: "http://localhost:3000/there" }).end();
    response.setHeader("set-cookie", ["mine=1; Path=/; HttpOnly", "aegis_preview_last=stolen; Path=/"]);
    response.setHeader("referrer-policy", "unsafe-url");
    response.end(`site ${request.url}`);
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => {
    seen.push(request);
    socket.on("message", (data: Buffer) => socket.send(`echo ${data.toString()}`));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const client of sockets.clients) client.terminate();
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function ask(
  port: number,
  url: string,
  { method = "GET", headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Asked> {
  const { host, pathname, search } = new URL(url);
  const request = http.request({
    port,
    host: "127.0.0.1",
    method,
    path: `${pathname}${search}`,
    agent: false,
    headers: { host, accept: "text/html", ...headers },
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() };
}
