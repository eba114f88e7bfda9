import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { ModelTap } from "../../guest/work/model-tap.ts";

async function model(status: number, parts: string[]) {
  const seen: { url?: string; body: string; headers: IncomingHttpHeaders }[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await text(request);
    seen.push({ url: request.url ?? "", body, headers: request.headers });
    response.writeHead(status, { "content-type": "text/event-stream" });
    for (const part of parts) response.write(part);
    response.end();
  };
  const server = createServer((request, response) => void answer(request, response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const steps: string[] = [];
  const { port } = server.address() as AddressInfo;
  const tap = await ModelTap.open(`http://127.0.0.1:${port}/api/v1`, (step) => steps.push(step));
  onTestFinished(() => {
    tap.close();
    server.closeAllConnections();
    server.close();
  });
  return { tap, seen, steps };
}

test("requests and answers pass unchanged", async () => {
  const { tap, seen } = await model(200, ["data: 1\n\n", "data: [DONE]\n\n"]);
  const body = JSON.stringify({ messages: [{ role: "user", content: "ü" }] });
  const response = await fetch(`${tap.baseUrl}/chat/completions`, {
    method: "POST",
    body,
    headers: { "x-api-key": "k" },
  });
  expect(await response.text()).toBe("data: 1\n\ndata: [DONE]\n\n");
  expect(seen[0]).toMatchObject({ url: "/api/v1/chat/completions", body, headers: { "x-api-key": "k" } });
});

test("a provider that refuses is told", async () => {
  const { tap, steps } = await model(429, ["slow down"]);
  expect((await fetch(`${tap.baseUrl}/x`, { method: "POST", body: "not json" })).status).toBe(429);
  expect(steps).toEqual(["the model's provider answered 429"]);
});

test("a provider that is not there ends the request, not the tap", async () => {
  const steps: string[] = [];
  const tap = await ModelTap.open("http://127.0.0.2:1/v1", (step) => steps.push(step));
  onTestFinished(() => tap.close());
  await expect(fetch(`${tap.baseUrl}/x`, { method: "POST", body: "{}" })).rejects.toThrow();
  await expect(fetch(`${tap.baseUrl}/x`, { method: "POST", body: "{}" })).rejects.toThrow();
});
