import type http from "node:http";
import net from "node:net";
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

  it("on requests at the same time is not got round by one connection full of them", async () => {
    let most = 0;
    let running = 0;
    const { port } = await limited({ parallel: 4 }, (_request, response) => {
      most = Math.max(most, ++running);
      response.once("close", () => running--);
      setTimeout(() => response.end("x"), 20);
    });
    const socket = net.connect(port, "127.0.0.1");
    socket.end("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500));
    let answers = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>)
      answers += chunk.toString().split("HTTP/1.1 ").length - 1;
    expect(answers).toBe(500);
    expect(most).toBeLessThanOrEqual(4);
  });

  it("on requests in a second lets through what has come together", async () => {
    const { call } = await limited({ per_s: 1 });
    expect((await call("/")).status).toBe(200);
    const { status, headers } = await call("/");
    expect(status).toBe(429);
    await delay(Number(headers["retry-after"]) * 1000);
    expect((await call("/")).status).toBe(200);
  });

  it("on connections turns the surplus away", async () => {
    const { port, raw } = await limited({});
    const open = await Promise.all(
      Array.from(
        { length: 256 },
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
