import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BindingView } from "../../../packages/protocol/src/binding.ts";
import { type Aegis, startAegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";
import { guestCall } from "../guest-call.ts";

const KEY = "sk-very-secret-0123456789";
const ANSWER = { choices: [], usage: { prompt_tokens: 11, completion_tokens: 7 } };

describe("what is used of bindings", () => {
  let aegis: Aegis;
  let provider: http.Server;
  let box: string;
  let child: string;
  const keys: unknown[] = [];
  beforeAll(async () => {
    provider = http.createServer((request, response) => {
      keys.push(request.headers.authorization);
      request.resume().once("end", () => {
        response.setHeader("content-type", "application/json").end(JSON.stringify(ANSWER));
      });
    });
    provider.listen(0, "127.0.0.1");
    await once(provider, "listening");
    const base_url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`;
    aegis = await startAegis();
    await aegis.client.secrets.put("LLM_KEY", KEY);
    const { id } = await aegis.boot({
      command: ["sleep", "infinity"],
      pause_after_idle_s: null,
      bindings: [
        {
          name: "llm",
          port: 8001,
          llm: { provider: "openai-compatible", secret: "LLM_KEY", base_url, models: ["small-*"] },
          limits: { requests: 6 },
        },
      ],
      capabilities: {
        spawn: true,
        spawn_depth: 1,
        max_children: 1,
        allowed_images: ["*"],
        max_memory_mb: 64,
        max_vcpus: 1,
        allowed_bindings: ["llm"],
      },
    });
    box = id;
    const spawned = await guestCall<{ id: string }>(aegis, box, "POST", "/v1/instances", {
      command: ["sleep", "infinity"],
      image_ref: IMAGES.busybox,
      memory_mb: 64,
      bindings: ["llm"],
    });
    child = spawned.body.id;
    await aegis.reaches(child, "running");
  });
  afterAll(async () => {
    provider.closeAllConnections();
    provider.close();
    await aegis.stop();
  });

  /** @returns the status of a chat request from inside */
  const chat = async (id: string, model: string, path = "/v1/chat/completions"): Promise<number> => {
    const body = JSON.stringify({ model });
    const { stderr } = await aegis.exec(id, [
      "wget",
      "-S",
      "-O",
      "-",
      "--post-data",
      body,
      `http://127.0.0.1:8001${path}`,
    ]);
    return Number(/HTTP\/1\.1 (\d+)/.exec(stderr)?.[1]);
  };
  const llm = async (id: string): Promise<BindingView | undefined> =>
    (await aegis.client.instances.get(id)).bindings?.[0];

  it("is counted for who used it, and for who handed it down", async () => {
    expect([await chat(box, "small-1"), await chat(child, "small-2"), await chat(child, "small-2")]).toEqual([
      200, 200, 200,
    ]);
    expect(await llm(child)).toMatchObject({
      inherited: true,
      usage: { requests: 2, input_tokens: 22, output_tokens: 14 },
    });
    expect(await llm(box)).toMatchObject({
      inherited: false,
      limits: { requests: 6 },
      usage: { requests: 1, input_tokens: 11, output_tokens: 7 },
      tree_usage: { requests: 3, input_tokens: 33, output_tokens: 21 },
    });
    expect(new Set(keys)).toEqual(new Set([`Bearer ${KEY}`]));
  });

  it("is what the binding lets through", async () => {
    expect(await chat(child, "large-1")).toBe(404);
    expect(await chat(child, "small-1", "/v1/files")).toBe(403);
    expect(await chat(child, "small-1", "/v1/models/../files")).toBe(403);
    expect(await llm(child)).toMatchObject({ usage: { refused: 3 } });
  });

  it("is remembered over a restart of the daemon", async () => {
    const before = await llm(box);
    await aegis.restart();
    expect(await llm(box)).toEqual(before);
  });

  it("comes from one budget, which a child does not multiply", async () => {
    const left = 6 - ((await llm(box))?.tree_usage.requests ?? 0);
    expect(left).toBeGreaterThan(0);
    for (let i = 0; i < left; i++) expect(await chat(child, "small-1")).toBe(200);
    expect([await chat(child, "small-1"), await chat(box, "small-1")]).toEqual([429, 429]);
  });

  it("is in the audit log, by name", async () => {
    const { status, text } = await aegis.call("GET", "/v1/audit");
    expect(status).toBe(200);
    expect(text).toContain('"secret.use"');
    expect(text).toContain('"binding.request"');
    expect(text).not.toContain(KEY);
  });

  it("stays with the parent when the child is gone", async () => {
    const before = (await llm(box))?.tree_usage;
    await aegis.client.instances.delete(child);
    expect((await llm(box))?.tree_usage).toEqual(before);
  });
});
