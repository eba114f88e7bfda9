import { once } from "node:events";
import http from "node:http";
import { describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Binding } from "@aegis/protocol/binding";
import { echo, listening, proxyFixture } from "./proxy-fixture.ts";

const KEY = { headers: { Authorization: "Bearer ${secret:KEY}" } };

/** An upstream that greets with the key it got, and sends back what it is sent. */
async function joined(more: Partial<Binding> = {}) {
  const server = http.createServer(echo);
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, { headers, url }) => {
    socket.send(`${url} ${headers.authorization}`);
    socket.on("message", (data) => socket.send(data)).on("error", () => socket.terminate());
  });
  const upstream = `http://127.0.0.1:${await listening(server)}`;
  const fixture = await proxyFixture({ ...("llm" in more ? {} : { upstream }), ...KEY, ...more });
  const open = (path: string, options = {}) => new WebSocket(`ws://127.0.0.1:${fixture.port}${path}`, options);
  return { ...fixture, open, sockets, upstream };
}

const message = async (socket: WebSocket): Promise<string> => String((await once(socket, "message"))[0]);
const refusal = (socket: WebSocket): Promise<number | undefined> =>
  new Promise((resolve) => {
    socket.once("unexpected-response", (_request, response) => {
      resolve(response.statusCode);
      response.destroy();
    });
    socket.on("error", () => undefined);
  });

describe("a WebSocket over a binding", () => {
  it("gets the key, carries both ways and is counted", async () => {
    const { open, usage, held } = await joined();
    const socket = open("/v1/realtime?model=m", { headers: { authorization: "Bearer theirs" } });
    expect(await message(socket)).toBe("/v1/realtime?model=m Bearer the-secret-key");
    const big = "x".repeat(300_000);
    socket.send(big);
    expect(await message(socket)).toBe(big);
    expect(held()).toBe(1);
    expect(usage()).toMatchObject({ requests: 1, errors: 0 });
    expect(usage().request_bytes).toBeGreaterThan(300_000);
    expect(usage().response_bytes).toBeGreaterThan(300_000);
    socket.close();
    await once(socket, "close");
    await expect.poll(held).toBe(0);
  });

  it("is not cut off for being silent", async () => {
    const { open } = await joined({ idle_timeout_s: 0.2 });
    const socket = open("/");
    await message(socket);
    await new Promise((resolve) => setTimeout(resolve, 500));
    socket.send("still there");
    expect(await message(socket)).toBe("still there");
    socket.terminate();
  });

  it("ends with the upstream, and ends it", async () => {
    const { open, sockets } = await joined();
    const first = open("/");
    await message(first);
    for (const far of sockets.clients) far.terminate();
    await once(first, "close");
    const second = open("/");
    await message(second);
    const [far] = sockets.clients;
    second.terminate();
    if (far !== undefined && far.readyState !== WebSocket.CLOSED) await once(far, "close");
    expect(far?.readyState).toBe(WebSocket.CLOSED);
  });

  it("is under the same rules as any request", async () => {
    const { open, usage } = await joined({ paths: ["/ok"], limits: { requests: 1 } });
    expect(await refusal(open("/no"))).toBe(403);
    const socket = open("/ok");
    await message(socket);
    expect(await refusal(open("/ok"))).toBe(429);
    socket.terminate();
    expect(usage()).toMatchObject({ requests: 1, refused: 2 });
  });

  it("is cut off when its bytes are used up", async () => {
    const { open } = await joined({ limits: { request_bytes: 1000 } });
    const socket = open("/").on("error", () => undefined);
    await message(socket);
    socket.send("x".repeat(2000));
    await once(socket, "close");
    expect(await refusal(open("/"))).toBe(429);
  });

  it("is refused as the upstream refuses it", async () => {
    const server = http.createServer((_request, response) => void response.writeHead(401).end("no key"));
    const { port, usage } = await proxyFixture({ upstream: `http://127.0.0.1:${await listening(server)}` });
    expect(await refusal(new WebSocket(`ws://127.0.0.1:${port}/`))).toBe(401);
    expect(usage()).toMatchObject({ requests: 1, errors: 1 });
    // the ports that tests open are at another address
    const away = await proxyFixture({ upstream: "http://127.0.0.2:1" });
    expect(await refusal(new WebSocket(`ws://127.0.0.1:${away.port}/`))).toBe(502);
  });

  it("has the model that the binding allows", async () => {
    const { upstream } = await joined();
    const { port } = await proxyFixture({
      llm: { provider: "openai", secret: "KEY", base_url: `${upstream}/v1`, models: ["gpt-realtime"] },
    });
    const at = (query: string) => new WebSocket(`ws://127.0.0.1:${port}/v1/realtime${query}`);
    expect(await refusal(at("?model=gpt-4"))).toBe(404);
    expect(await refusal(at("?model=gpt-realtime&model=gpt-4"))).toBe(404);
    expect(await refusal(at(""))).toBe(400);
    const socket = at("?model=gpt-realtime");
    expect(await message(socket)).toBe("/v1/realtime?model=gpt-realtime Bearer the-secret-key");
    socket.terminate();
  });
});
