import type http from "node:http";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import type { LlmProvider, LlmUpstream } from "@aegis/protocol/binding";
import { echo, echoed, proxyFixture, upstreamDouble } from "./proxy-fixture.ts";

const llm = async (answer: http.RequestListener, more: Partial<LlmUpstream> = {}, limits = {}) =>
  proxyFixture({
    llm: { provider: "openai-compatible", secret: "KEY", base_url: `${await upstreamDouble(answer)}/v1`, ...more },
    limits,
  });
const post = (body: unknown, headers = {}) => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: typeof body === "string" ? body : JSON.stringify(body),
});
const CHAT = "/v1/chat/completions";

describe("a model provider", () => {
  it.each([
    ["openai", CHAT, { authorization: "Bearer the-secret-key" }],
    ["openai-compatible", CHAT, { authorization: "Bearer the-secret-key" }],
    ["ollama", "/api/chat", { authorization: "Bearer the-secret-key" }],
    ["vllm", CHAT, { authorization: "Bearer the-secret-key" }],
    ["lmstudio", CHAT, { authorization: "Bearer the-secret-key" }],
    ["anthropic", "/v1/messages", { "x-api-key": "the-secret-key", "anthropic-version": "2023-06-01" }],
  ] as const)(
    "%s gets its key as it wants it, and none of the instance's",
    async (provider: LlmProvider, path, wanted) => {
      const { call } = await llm(echo, { provider });
      const theirs = {
        authorization: "Bearer dummy",
        "x-api-key": "dummy",
        "api-key": "dummy",
        "accept-encoding": "gzip",
      };
      const { url, headers } = echoed(await call(path, post({ model: "m" }, theirs)));
      expect(url).toBe(path);
      expect(headers).toMatchObject({ ...wanted, "accept-encoding": "identity" });
      expect(JSON.stringify(headers)).not.toContain("dummy");
    },
  );

  it("gets the version of the API that the instance asks for", async () => {
    const { call } = await llm(echo, { provider: "anthropic" });
    const { headers } = echoed(await call("/v1/messages", post({ model: "m" }, { "anthropic-version": "2030-01-01" })));
    expect(headers["anthropic-version"]).toBe("2030-01-01");
  });

  it("on this machine needs no key", async () => {
    const { call } = await proxyFixture({ llm: { provider: "ollama", base_url: await upstreamDouble(echo) } });
    expect(echoed(await call("/api/tags")).headers).not.toHaveProperty("authorization");
  });
});

describe("a refusal is told in the words of the provider", () => {
  it("OpenAI", async () => {
    const { call } = await llm(echo, { models: ["gpt-5-mini"] }, { requests: 1 });
    const { status, text: body } = await call("/v1/files");
    expect(status).toBe(403);
    expect(JSON.parse(body)).toEqual({
      error: {
        message: "This binding does not let GET /v1/files through.",
        type: "invalid_request_error",
        param: null,
        code: "path_not_allowed",
      },
    });
    const other = await call(CHAT, post({ model: "gpt-5-pro" }));
    expect(other.status).toBe(404);
    expect(JSON.parse(other.text)).toMatchObject({ error: { code: "model_not_found" } });
    const spent = await call(CHAT, post({ model: "gpt-5-mini" }));
    expect(spent.status).toBe(429);
    expect(JSON.parse(spent.text)).toMatchObject({ error: { type: "insufficient_quota", code: "insufficient_quota" } });
  });

  it("Anthropic", async () => {
    const { call } = await llm(echo, { provider: "anthropic" }, { per_s: 0.1 });
    await call("/v1/models");
    const { status, text: body, headers } = await call("/v1/models");
    expect(status).toBe(429);
    expect(Number(headers["retry-after"])).toBeGreaterThan(0);
    expect(JSON.parse(body)).toMatchObject({ type: "error", error: { type: "rate_limit_error" } });
    expect(JSON.parse((await call("/v1/files")).text)).toMatchObject({ error: { type: "permission_error" } });
  });
});

describe("a list of models", () => {
  const guarded = async () => {
    const complete: string[] = [];
    const fixture = await llm(
      (request, response) => {
        text(request).then(
          (body) => response.end(String(complete.push(body))),
          () => response.destroy(),
        );
      },
      { models: ["gpt-5-*", "o9"] },
    );
    return { ...fixture, complete };
  };

  it("lets those through, wherever their name stands in the body", async () => {
    const { call, complete } = await guarded();
    const messages = [{ role: "user", content: "x".repeat(300_000) }];
    const bodies = [
      { model: "gpt-5-mini", messages },
      { messages, model: "o9" },
    ].map((body) => JSON.stringify(body));
    for (const body of bodies) expect((await call(CHAT, post(body))).status).toBe(200);
    const chunked = await call(CHAT, post(bodies[1] ?? "", { "transfer-encoding": "chunked" }));
    expect(chunked.status).toBe(200);
    expect(complete).toEqual([bodies[0], bodies[1], bodies[1]]);
    expect((await call("/v1/models")).status).toBe(200);
  });

  it.each([
    ["another", { model: "gpt-4" }, 404],
    ["one of two", '{"model":"o9","model":"gpt-4"}', 404],
    ["one of two, in capitals", '{"model":"o9","MODEL":"gpt-4"}', 404],
    ["another in disguise", '{"model":"o9","\\u006dodel":"gpt-4"}', 404],
    ["another at the very end", { messages: "x".repeat(300_000), model: "gpt-4" }, 404],
    ["a list", { model: ["o9"] }, 400],
    ["none", { messages: [] }, 400],
    ["no JSON", "model=o9", 400],
    ["half of it", '{"model":"o9"', 400],
    ["UTF-16", Buffer.from('{"model":"o9"}', "utf16le").toString("latin1"), 400],
  ])("refuses %s, and the provider gets no whole request", async (_what, body, status) => {
    const { call, complete } = await guarded();
    expect((await call(CHAT, post(body))).status).toBe(status);
    expect((await call(CHAT, post(body, { "transfer-encoding": "chunked" }))).status).toBe(status);
    expect(complete).toEqual([]);
  });

  it("refuses what it cannot read", async () => {
    const { call, complete } = await guarded();
    expect((await call(CHAT, post({ model: "o9" }, { "content-encoding": "gzip" }))).status).toBe(400);
    expect((await call("/v1/models?model=gpt-4")).status).toBe(404);
    expect(complete).toEqual([]);
  });
});

describe("tokens are counted", () => {
  const counted = async (type: string, body: string[], path = CHAT, provider: LlmProvider = "openai-compatible") => {
    const { call, usage } = await llm(
      (_request, response) => {
        response.setHeader("content-type", type);
        for (const part of body) response.write(part);
        response.end();
      },
      { provider },
    );
    await call(path, post({ model: "m" }));
    const { input_tokens, output_tokens } = usage();
    return [input_tokens, output_tokens];
  };
  const sse = "text/event-stream; charset=utf-8";

  it("from an answer of OpenAI's", async () => {
    const answer = {
      choices: [{ message: { content: '"usage":{"prompt_tokens":9}' } }],
      usage: { prompt_tokens: 12, completion_tokens: 34, prompt_tokens_details: { cached_tokens: 3 } },
    };
    expect(await counted("application/json", [JSON.stringify(answer)])).toEqual([12, 34]);
  });

  it("from a stream of OpenAI's, cut anywhere", async () => {
    const events = `data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}\n\ndata: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}\n\ndata: [DONE]\n\n`;
    expect(await counted(sse, events.split(""))).toEqual([5, 7]);
    expect(await counted(sse, [events.replaceAll("\n", "\r\n")])).toEqual([5, 7]);
  });

  it("from a stream of the responses API", async () => {
    const done = {
      type: "response.completed",
      response: { output: [{ usage: 1 }], usage: { input_tokens: 8, output_tokens: 9 } },
    };
    expect(
      await counted(sse, [`event: response.completed\ndata: ${JSON.stringify(done)}\n\n`], "/v1/responses"),
    ).toEqual([8, 9]);
  });

  it("from a stream of Anthropic's, with what was cached", async () => {
    const start = {
      type: "message_start",
      message: {
        usage: { input_tokens: 3, cache_read_input_tokens: 100, cache_creation_input_tokens: 20, output_tokens: 1 },
      },
    };
    const delta = { type: "message_delta", delta: {}, usage: { output_tokens: 15 } };
    const events = [start, delta].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    expect(await counted(sse, events, "/v1/messages", "anthropic")).toEqual([123, 15]);
  });

  it("from a stream of Ollama's own API", async () => {
    const lines = [
      '{"message":{"content":"hi"},"done":false}\n',
      '{"done":true,"prompt_eval_count":26,"eval_count":298}\n',
    ];
    expect(await counted("application/x-ndjson", lines, "/api/chat", "ollama")).toEqual([26, 298]);
  });

  it("as none, where the answer says nothing sensible", async () => {
    expect(await counted("application/json", ['{"usage":{"prompt_tokens":-5,"completion_tokens":"many"}}'])).toEqual([
      0, 0,
    ]);
    expect(await counted("text/html", ['{"usage":{"prompt_tokens":5}}'])).toEqual([0, 0]);
    expect(await counted(sse, ["data: {broken\n\ndata\n\n: comment\n\n"])).toEqual([0, 0]);
  });
});
