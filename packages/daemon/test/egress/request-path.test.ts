import { describe, expect, it } from "vitest";
import type { LlmProvider } from "@aegis/protocol/binding";
import { bindingTarget } from "../../src/core/binding-target.ts";
import { Refused } from "../../src/egress/refused.ts";
import { upstreamPath } from "../../src/egress/request-path.ts";

const target = (more: object = {}) =>
  bindingTarget({ name: "api", port: 1, upstream: "https://api.example/base/", ...more });
const kindOf = (act: () => unknown): string => {
  try {
    return String(act());
  } catch (error) {
    return error instanceof Refused ? error.kind : String(error);
  }
};
const asked = (url: string, more: object = {}, method = "GET") => kindOf(() => upstreamPath(target(more), method, url));

describe("a path at the upstream", () => {
  it("lies below the upstream's own", () => {
    expect(asked("/v1/x?y=1&z=/../..")).toBe("/base/v1/x?y=1&z=/../..");
    expect(asked("/")).toBe("/base/");
  });

  it.each([
    "/../admin",
    "/a/..",
    "/a/../../admin",
    "/./a",
    "/%2e%2e/admin",
    "/.%2E/admin",
    "/%252e%252e/admin",
    "/..%2fadmin",
    "/a%2Fb",
    "/a%252fb",
    "/..%5cadmin",
    "/..\\admin",
    "//evil.example/x",
    "/a//b",
    "/..;/admin",
    "/.;x=1/admin",
    "/a%00b",
    "/a%0d%0aHost:%20x",
    "/%c0%ae%c0%ae/admin",
    "/%zz",
  ])("is refused where servers read it in different ways: %s", (url) => {
    expect(asked(url)).toBe("path");
  });

  it.each(["http://evil.example/", "*", "", "evil.example:443", "/a#b", "/a b", "/\u00e9"])(
    "begins at the root: %j",
    (url) => {
      expect(asked(url)).toBe("malformed");
    },
  );

  it("may hold encoded separators where the whole service is let through", () => {
    expect(asked("/projects/a%2Fb//c", { upstream: "https://api.example" })).toBe("/projects/a%2Fb//c");
  });

  it("has to be on the list, in whichever way it is written", () => {
    const paths = ["/v1/models", "GET /v1/items/*", "POST /files/**"];
    expect(asked("/v1/models?x", { paths })).toBe("/base/v1/models?x");
    expect(asked("/v1/%6dodels", { paths })).toBe("/base/v1/%6dodels");
    expect(asked("/v1/items/7", { paths })).toBe("/base/v1/items/7");
    expect(asked("/files/a/b", { paths }, "POST")).toBe("/base/files/a/b");
    expect(asked("/v1/models/", { paths })).toBe("path");
    expect(asked("/v1/modelsx", { paths })).toBe("path");
    expect(asked("/V1/models", { paths })).toBe("path");
    expect(asked("/v1/items/7/8", { paths })).toBe("path");
    expect(asked("/v1/items/7", { paths }, "DELETE")).toBe("method");
    expect(asked("/files/a/../../v1/keys", { paths }, "POST")).toBe("path");
  });

  it("takes listed methods only, and never one that echoes the key", () => {
    expect(asked("/x", { methods: ["GET"] })).toBe("/base/x");
    expect(asked("/x", { methods: ["GET"] }, "POST")).toBe("method");
    expect(asked("/x", {}, "PROPFIND")).toBe("/base/x");
    for (const method of ["TRACE", "TRACK", "CONNECT"]) {
      expect(asked("/x", {}, method)).toBe("method");
      expect(asked("/x", { methods: [method] }, method)).toBe("method");
    }
  });

  it("never leaves the upstream's own path, whatever is asked", () => {
    const pieces = [
      "/",
      "..",
      ".",
      "%2e",
      "%2E",
      "%2f",
      "%5c",
      "%25",
      "2e",
      "2f",
      "\\",
      ";",
      "a",
      "base",
      "?",
      "%",
      "%00",
      "~",
    ];
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    const confined = target({ paths: ["/a/**"] });
    let letThrough = 0;
    for (let round = 0; round < 100_000; round++) {
      const url = `/a/${Array.from({ length: random(9) }, () => pieces[random(pieces.length)]).join("")}`;
      const path = kindOf(() => upstreamPath(confined, "GET", url));
      if (!path.startsWith("/")) continue;
      letThrough++;
      // as a server that decodes twice, takes backslashes for slashes and drops path parameters would see it
      const pathname = path.split("?")[0] ?? "";
      const read = unescape(unescape(pathname))
        .replaceAll("\\", "/")
        .replace(/;[^/]*/g, "");
      expect(new URL(`http://x${read.replace(/^\/+/, "/")}`).pathname).toMatch(/^\/base\/a\//);
    }
    expect(letThrough).toBeGreaterThan(1000);
  });
});

describe("a model provider's path", () => {
  const llm = (base_url?: string, provider: LlmProvider = "openai-compatible") =>
    bindingTarget({ name: "llm", port: 1, llm: { provider, ...(base_url === undefined ? {} : { base_url }) } });
  const at = (base: string | undefined, url: string, provider?: LlmProvider, method = "POST") => {
    const to = llm(base, provider);
    return kindOf(() => to.upstream.origin + upstreamPath(to, method, url));
  };

  it("is /v1 inside, and outside what the provider documents", () => {
    const chat = "/v1/chat/completions";
    expect(at("https://openrouter.ai/api/v1", chat)).toBe("https://openrouter.ai/api/v1/chat/completions");
    expect(at("https://g.example/v1beta/openai/", chat)).toBe("https://g.example/v1beta/openai/chat/completions");
    expect(at("https://api.example", chat)).toBe("https://api.example/chat/completions");
    expect(at("http://127.0.0.1:9000", chat, "vllm")).toBe("http://127.0.0.1:9000/v1/chat/completions");
    expect(at(undefined, chat, "openai")).toBe("https://api.openai.com/v1/chat/completions");
    expect(at(undefined, "/v1/messages", "anthropic")).toBe("https://api.anthropic.com/v1/messages");
    expect(at("https://gw.example/anthropic", "/v1/messages", "anthropic")).toBe(
      "https://gw.example/anthropic/v1/messages",
    );
    expect(at(undefined, "/api/chat", "ollama")).toBe("http://127.0.0.1:11434/api/chat");
    expect(at("http://10.0.0.5:11434/v1", "/v1/chat/completions", "ollama")).toBe(
      "http://10.0.0.5:11434/v1/chat/completions",
    );
    expect(at(undefined, chat, "lmstudio")).toBe("http://127.0.0.1:1234/v1/chat/completions");
    expect(at(undefined, chat, "vllm")).toBe("http://127.0.0.1:8000/v1/chat/completions");
  });

  it("is one that makes answers, not one that manages the account or the server", () => {
    expect(at(undefined, "/v1/files", "openai", "GET")).toBe("path");
    expect(at(undefined, "/v1/organization/admin_api_keys", "openai", "GET")).toBe("path");
    expect(at(undefined, "/v1/realtime/client_secrets", "openai")).toBe("path");
    expect(at(undefined, "/v1/chat/completions", "openai", "GET")).toBe("method");
    expect(at(undefined, "/v1/messages/batches", "anthropic")).toBe("path");
    expect(at(undefined, "/api/delete", "ollama", "DELETE")).toBe("path");
    expect(at(undefined, "/api/pull", "ollama")).toBe("path");
    expect(at(undefined, "/%761/models", "openai", "GET")).toBe("path");
    expect(at(undefined, "/chat/completions", "openai")).toBe("path");
  });
});
