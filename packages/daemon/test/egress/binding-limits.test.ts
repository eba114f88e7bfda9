import type http from "node:http";
import net from "node:net";
import { text as allOf } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { BindingLimits } from "@aegis/protocol/binding";
import { spentBudget } from "../../src/core/binding-budget.ts";
import { noUsage } from "../../src/core/usage-ledger.ts";
import { echo, proxyFixture, upstreamDouble } from "./proxy-fixture.ts";

const limited = async (limits: BindingLimits, answer: http.RequestListener = echo) =>
  proxyFixture({ upstream: await upstreamDouble(answer), limits });

describe("a limit of a binding", () => {
  it("on requests is refused beyond, and told once for all", async () => {
    const { call, usage, audited } = await limited({ requests: 2 });
    expect([(await call("/")).status, (await call("/")).status]).toEqual([200, 200]);
    const { status, headers, text } = await call("/");
    expect(status).toBe(429);
    expect(headers["x-should-retry"]).toBe("false");
    expect(headers).not.toHaveProperty("retry-after");
    expect(JSON.parse(text)).toEqual({
      error: "The budget of the binding api is used up: 2 requests.",
      code: "quota_exceeded",
    });
    expect(usage()).toMatchObject({ requests: 2, refused: 1 });
    expect(audited).toMatchObject([
      { action: "binding.request", decision: "refused", target: "api", detail: "budget" },
    ]);
  });

  it("on requests in a period says when there is more", async () => {
    const { call } = await limited({ requests: 1, window_s: 3600 });
    await call("/");
    const { status, headers } = await call("/");
    expect(status).toBe(429);
    expect(Number(headers["retry-after"])).toBeGreaterThan(3590);
  });

  it("on bytes of bodies holds while they are sent", async () => {
    const { call, usage } = await limited({ request_bytes: 1_000_000 });
    const post = (size: number) => call("/", { method: "POST", body: Buffer.alloc(size) });
    expect((await post(400_000)).status).toBe(200);
    expect((await post(900_000)).status).toBe(429);
    expect((await post(1)).status).toBe(429);
    expect(usage().request_bytes).toBeLessThan(1_000_000 + 65_537);
  });

  it("on bytes of answers cuts them off", async () => {
    const { call, usage } = await limited({ response_bytes: 300_000 }, (_request, response) =>
      response.end(Buffer.alloc(200_000)),
    );
    expect((await call("/")).text).toHaveLength(200_000);
    await expect(call("/")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect((await call("/")).status).toBe(429);
    expect(usage().response_bytes).toBeLessThan(300_000 + 65_537);
  });

  it("on the size of one body holds with and without a length", async () => {
    let complete = 0;
    const { call } = await limited({ body_bytes: 1000 }, (request, response) => {
      request.on("error", () => undefined);
      request.resume().once("end", () => {
        complete++;
        response.end();
      });
    });
    const chunked = { method: "POST", headers: { "transfer-encoding": "chunked" } };
    expect((await call("/", { method: "POST", body: Buffer.alloc(1001) })).status).toBe(413);
    expect((await call("/", { ...chunked, body: Buffer.alloc(100_000) })).status).toBe(413);
    expect(complete).toBe(0);
    expect((await call("/", { ...chunked, body: Buffer.alloc(1000) })).status).toBe(200);
  });

  it("on requests at the same time gives room again when one is over", async () => {
    const waiting: http.ServerResponse[] = [];
    const { call } = await limited({ parallel: 2 }, (_request, response) => void waiting.push(response));
    const running = [call("/"), call("/")];
    await expect.poll(() => waiting.length).toBe(2);
    const { status, headers } = await call("/");
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("1");
    for (const response of waiting) response.end();
    await Promise.all(running);
    const again = call("/");
    await expect.poll(() => waiting.length).toBe(3);
    waiting[2]?.end();
    expect((await again).status).toBe(200);
  });

  it("on requests in a row ends the connection", async () => {
    const { raw, usage, held } = await limited(
      {},
      (request, response) => void setTimeout(() => response.end(request.url), 50),
    );
    const row = (length: number) => "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(length - 1);
    const last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    expect((await raw(row(16) + last)).match(/HTTP\/1\.1 200/g)).toHaveLength(16);
    expect(await raw(row(1000) + last)).toBe("");
    expect(usage().requests).toBeLessThanOrEqual(32);
    await expect.poll(held).toBe(0);
  });

  it("on requests at the same time is given back by a caller who leaves a row of them behind", async () => {
    const { port, call, held } = await limited({ parallel: 4 }, (request, response) => {
      if (request.url === "/big") response.end(Buffer.alloc(4_000_000));
      else if (request.url === "/quick") response.end("quick");
    });
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    const row = ["/silent", "/big", "/big", "/quick"].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    socket.write(row.join(""));
    await expect.poll(held).toBe(4);
    await expect.poll(async () => (await call("/quick")).status).toBe(200);
    socket.destroy();
    await expect.poll(held).toBe(0);
    const all = Array.from({ length: 4 }, () => call("/quick"));
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });

  it("on requests in a second lets through what has come together", async () => {
    const { call } = await limited({ per_s: 1 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => call("/")));
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThan(10);
    const late = answers.find(({ status }) => status === 429);
    await delay(Number(late?.headers["retry-after"]) * 1000);
    expect((await call("/")).status).toBe(200);
  });

  it("on headers and on the time that they take holds, and others are served meanwhile", async () => {
    const { port, raw, held, call } = await proxyFixture({ upstream: await upstreamDouble(echo) }, { waitMs: 2000 });
    const begin = (bytes: string): Promise<string> => {
      const socket = net.connect(port, "127.0.0.1");
      socket.write(bytes);
      return allOf(socket);
    };
    const head = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    const waiting = Array.from({ length: 100 }, (_, at) => begin(at % 2 === 0 ? "" : head));
    expect(await raw(`${head}${"x".repeat(20_000)}\r\n`)).toMatch(/^HTTP\/1.1 431 /);
    expect((await call("/")).status).toBe(200);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([""]));
    expect(held()).toBe(0);
  });

  it("on connections turns the surplus away", async () => {
    const { port, raw } = await limited({});
    const open = await Promise.all(
      Array.from(
        { length: 128 },
        () =>
          new Promise<net.Socket>((resolve) => {
            const socket = net.connect(port, "127.0.0.1", () => resolve(socket));
          }),
      ),
    );
    await expect.poll(() => raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1.1 503 /);
    for (const socket of open) socket.destroy();
    await expect.poll(() => raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe("a period of a budget", () => {
  const row = () => ({ instanceId: "a", binding: "b", own: noUsage(), tree: noUsage(), window: null });

  it("begins with its first request and is followed by a full one", () => {
    const used = row();
    const limits = { requests: 2, window_s: 10 };
    expect(spentBudget(used, limits, 1000)).toBeNull();
    used.tree.requests = 2;
    expect(spentBudget(used, limits, 4000)).toEqual({ field: "requests", limit: 2, resetsInS: 7 });
    expect(spentBudget(used, limits, 11_000)).toBeNull();
    used.tree.requests = 4;
    expect(spentBudget(used, limits, 11_001)).toMatchObject({ resetsInS: 10 });
  });

  it("is no longer when the clock was set back", () => {
    const used = row();
    const limits = { requests: 1, window_s: 10 };
    expect(spentBudget(used, limits, 1_000_000)).toBeNull();
    used.tree.requests = 1;
    expect(spentBudget(used, limits, 5000)).toBeNull();
    used.tree.requests = 2;
    expect(spentBudget(used, limits, 6000)).toMatchObject({ resetsInS: 9 });
  });
});
