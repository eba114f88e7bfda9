import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { echo, echoed, listening, proxyFixture, upstreamDouble } from "./proxy-fixture.ts";

const withKey = { headers: { Authorization: "Bearer ${secret:KEY}" } };

describe("a request over a binding", () => {
  it("carries the binding's headers in the place of the instance's, however those are spelt", async () => {
    const upstream = await upstreamDouble(echo);
    const headers = { Authorization: "Bearer ${secret:KEY}", "X-Api-Key": "mine" };
    const { call } = await proxyFixture({ upstream, headers });
    const seen = echoed(
      await call("/x", {
        headers: {
          AUTHORIZATION: "Bearer theirs",
          x_api_key: "theirs",
          "x-api-key": "theirs",
          connection: "keep-alive, x-private, authorization",
          "x-private": "1",
          "proxy-authorization": "theirs",
          "x-kept": "1",
        },
      }),
    );
    expect(seen.headers).toMatchObject({ authorization: "Bearer the-secret-key", "x-api-key": "mine", "x-kept": "1" });
    expect(seen.headers["host"]).toBe(new URL(upstream).host);
    expect(JSON.stringify(seen)).not.toContain("theirs");
    expect(seen.headers).not.toHaveProperty("x-private");
  });

  it("cannot say another method or path by a header where these are limited", async () => {
    const { call } = await proxyFixture({ upstream: await upstreamDouble(echo), methods: ["GET"] });
    const { headers } = echoed(
      await call("/", { headers: { "X-HTTP-Method-Override": "DELETE", "x-rewrite-url": "/y" } }),
    );
    expect(headers).not.toHaveProperty("x-http-method-override");
    expect(headers).not.toHaveProperty("x-rewrite-url");
  });

  it("streams its body as it comes, chunked, whatever the method", async () => {
    const { promise: first, resolve } = Promise.withResolvers<string>();
    const upstream = await upstreamDouble((request, response) => {
      request.once("data", (chunk: Buffer) => resolve(chunk.toString()));
      void text(request).then((body) => response.end(`${request.method} ${body}`));
    });
    const { port, usage } = await proxyFixture({ upstream });
    const headers = { "transfer-encoding": "chunked" };
    const request = http.request({ host: "127.0.0.1", port, method: "DELETE", path: "/", headers });
    request.write("one ");
    expect(await first).toBe("one ");
    request.end("two");
    const [answer] = (await once(request, "response")) as [http.IncomingMessage];
    expect(await text(answer)).toBe("DELETE one two");
    expect(usage()).toMatchObject({ requests: 1, errors: 0, request_bytes: 7, response_bytes: 14 });
  });

  it("is only asked for its body when it is let through", async () => {
    const { call } = await proxyFixture({ upstream: await upstreamDouble(echo), paths: ["/ok"] });
    const expect100 = { method: "POST", headers: { expect: "100-continue" }, body: "hello" };
    expect(echoed(await call("/ok", expect100))).toMatchObject({ body: "hello" });
    expect((await call("/no", expect100)).status).toBe(403);
  });

  it("keeps the connection to the upstream for the next one", async () => {
    const server = http.createServer(echo);
    let connections = 0;
    server.on("connection", () => connections++);
    const { call } = await proxyFixture({ upstream: `http://127.0.0.1:${await listening(server)}` });
    for (let i = 0; i < 5; i++) expect((await call("/")).status).toBe(200);
    expect(connections).toBe(1);
  });

  it("is asked again over a new connection when the kept one has died and nothing is changed by it", async () => {
    let connections = 0;
    const server = net.createServer((socket) => {
      const dies = ++connections === 1;
      let requests = 0;
      socket.on("data", () => {
        if (dies && ++requests === 2) return socket.resetAndDestroy();
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { call } = await proxyFixture({ upstream: `http://127.0.0.1:${await listening(server)}` });
    expect((await call("/")).text).toBe("ok");
    expect((await call("/")).text).toBe("ok");
    expect(connections).toBe(2);
  });

  it("keeps the instance awake until it is answered", async () => {
    const { promise: asked, resolve } = Promise.withResolvers<http.ServerResponse>();
    const { call, held } = await proxyFixture({
      upstream: await upstreamDouble((_request, response) => resolve(response)),
    });
    const answer = call("/");
    const response = await asked;
    expect(held()).toBe(1);
    response.end("done");
    await answer;
    await expect.poll(held).toBe(0);
  });
});

describe("what cannot be smuggled", () => {
  const ask = async (request: string, more: object = {}) => {
    const seen: string[] = [];
    const upstream = await upstreamDouble((received, response) => {
      seen.push(`${received.method} ${received.url}`);
      received.resume().once("end", () => response.end("answered"));
    });
    const { raw } = await proxyFixture({ upstream, ...withKey, ...more });
    return { answer: await raw(request), seen };
  };

  it.each([
    [
      "a length and chunks",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\nabcd"],
    ["an odd length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd"],
    ["a folded header", "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Authorization: c\r\n\r\n"],
    ["a space before the colon", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"],
    ["a bare line feed", "GET / HTTP/1.1\nHost: x\nX: y\n\n"],
    ["a bare carriage return", "GET / HTTP/1.1\r\nHost: x\r\nX: a\rAuthorization: b\r\n\r\n"],
    ["a null byte", "GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n"],
    ["an odd chunk size", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"],
    [
      "another coding",
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "a coding hidden in a list",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
    ["no host", "GET / HTTP/1.1\r\n\r\n"],
  ])("%s", async (_what, request) => {
    const { answer, seen } = await ask(request);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(seen.filter((line) => line !== "POST /")).toEqual([]);
    expect(answer).not.toContain("answered");
  });

  it("a body of a method that usually has none", async () => {
    const inner = "DELETE /inner HTTP/1.1\r\nHost: x\r\n\r\n";
    const chunk = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
    const { answer, seen } = await ask(
      `GET /outer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`,
    );
    expect(answer).toContain("answered");
    expect(seen).toEqual(["GET /outer"]);
  });

  it("a request behind another one, past the rules", async () => {
    const { answer, seen } = await ask(
      "GET /ok HTTP/1.1\r\nHost: x\r\n\r\nGET /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      { paths: ["/ok"] },
    );
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 403"]);
    expect(seen).toEqual(["GET /ok"]);
  });

  it("a change to another protocol", async () => {
    const { answer, seen } = await ask(
      "GET /h2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    );
    expect(answer).toContain("answered");
    expect(seen).toEqual(["GET /h2"]);
    expect(
      await (await proxyFixture({ upstream: "http://127.0.0.1:1" })).raw("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"),
    ).toBe("");
  });
});

describe("an answer over a binding", () => {
  it("passes as it is: errors, redirects, cookies, trailers", async () => {
    const upstream = await upstreamDouble((request, response) => {
      const status = Number(request.url?.slice(1));
      response.writeHead(status, "As It Is", {
        "Retry-After": "7",
        Location: "https://elsewhere.example/",
        "Set-Cookie": ["a=1", "b=2"],
        "X-Private": "1",
        Connection: "x-private, close",
        Trailer: "X-Sum",
      });
      response.write(`body of ${status}`);
      response.addTrailers({ "X-Sum": "42" });
      response.end();
    });
    const { call, usage } = await proxyFixture({ upstream, ...withKey });
    for (const status of [200, 302, 401, 403, 404, 429, 500, 503, 529]) {
      const answer = await call(`/${status}`);
      expect(answer).toMatchObject({ status, text: `body of ${status}`, trailers: { "x-sum": "42" } });
      expect(answer.headers).toMatchObject({
        "retry-after": "7",
        location: "https://elsewhere.example/",
        "set-cookie": ["a=1", "b=2"],
      });
      expect(answer.headers).not.toHaveProperty("x-private");
      expect(JSON.stringify(answer)).not.toContain("the-secret-key");
    }
    expect(usage()).toMatchObject({ requests: 9, errors: 7, refused: 0 });
  });

  it("comes as it is made, headers first", async () => {
    const { promise: asked, resolve } = Promise.withResolvers<http.ServerResponse>();
    const upstream = await upstreamDouble((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      resolve(response);
    });
    const { port } = await proxyFixture({ upstream });
    const request = http.get({ host: "127.0.0.1", port });
    const [answer] = (await once(request, "response")) as [http.IncomingMessage];
    expect(answer.headers["content-type"]).toBe("text/event-stream");
    const response = await asked;
    for (const event of ["data: one\n\n", "data: two\n\n"]) {
      response.write(event);
      expect(String(await once(answer, "data"))).toBe(event);
    }
    request.destroy();
    await once(response, "close");
  });

  it("waits for a reader who is slow, rather than to fill the memory", async () => {
    let sent = 0;
    const { promise: stuck, resolve } = Promise.withResolvers<void>();
    const upstream = await upstreamDouble((_request, response) => {
      const more = () => {
        const block = Buffer.alloc(256 * 1024);
        while (sent < 512 * 1024 * 1024) {
          sent += block.length;
          if (!response.write(block)) return void response.once("drain", more);
        }
        response.end();
      };
      more();
      let before = -1;
      const timer = setInterval(() => {
        if (before === sent) resolve();
        before = sent;
      }, 200);
      response.once("close", () => clearInterval(timer));
    });
    const { port } = await proxyFixture({ upstream });
    const socket = net.connect(port, "127.0.0.1").pause();
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await stuck;
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    socket.destroy();
  });
});
