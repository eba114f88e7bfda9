import { afterEach, beforeEach, expect, test } from "vitest";
import { type DemoModel, startDemoModel } from "../../src/model/start-demo-model.ts";
import { botTools, requestOf, telegramSays } from "./requests.ts";

let model: DemoModel;

beforeEach(async () => {
  model = await startDemoModel({ host: "127.0.0.1", port: 0, log: () => undefined });
});

afterEach(() => model.close());

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${model.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

test("answers completions with tool calls, counts usage, and takes any model name", async () => {
  const request = requestOf(botTools, telegramSays("build me a website about lobsters"));
  const completion = await (await post("/chat/completions", { ...request, model: "whatever" })).json();
  expect(completion).toMatchObject({
    model: "whatever",
    choices: [{ finish_reason: "tool_calls", message: { tool_calls: [{ function: { name: "work_spawn" } }] } }],
    usage: { total_tokens: expect.any(Number) },
  });
});

test("streams, with the usage at the end", async () => {
  const request = requestOf(botTools, telegramSays("hello"));
  const response = await post("/chat/completions", {
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const text = await response.text();
  const chunks = text.split("\n\n").filter((line) => line.startsWith("data: {"));
  const words = chunks.map((line) => JSON.parse(line.slice(6)).choices[0]?.delta?.content ?? "").join("");
  expect(words).toContain("offline demo model");
  expect(text).toContain('"total_tokens"');
  expect(text.trim().endsWith("data: [DONE]")).toBe(true);
});

test("the same request always gets the same answer", async () => {
  const request = requestOf(botTools, telegramSays("status"));
  const ask = async (): Promise<string> => {
    const text = await (await post("/chat/completions", request)).text();
    return text.replaceAll(/"(?:id|created)":\s*(?:"[^"]*"|\d+)/g, "");
  };
  expect(await ask()).toBe(await ask());
});

test("lists one model", async () => {
  expect(await (await fetch(`${model.url}/models`)).json()).toMatchObject({ data: [{ id: "offline-demo" }] });
});

test("clients cannot reach the controls of the library behind it", async () => {
  const root = model.url.replace(/\/v1$/, "");
  for (const path of ["/__aimock/journal", "/__aimock/fixtures", "/v1/_requests", "/v1/embeddings", "/metrics"]) {
    const read = await fetch(root + path);
    const write = await fetch(root + path, { method: "POST", body: "{}" });
    expect({ path, read: read.status, write: write.status }).toEqual({ path, read: 404, write: 404 });
  }
});

test("a broken request is an error and no crash", async () => {
  expect((await post("/chat/completions", "{")).status).toBe(400);
  expect((await post("/chat/completions", { model: "x", messages: [] })).status).toBeLessThan(500);
  expect((await fetch(`${model.url}/models`)).status).toBe(200);
});
