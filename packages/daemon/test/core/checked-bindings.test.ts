import { expect, it } from "vitest";
import type { Binding } from "@aegis/protocol/binding";
import { checkedBindings } from "../../src/core/checked-bindings.ts";

const binding = (more: Partial<Binding>): Binding => ({ name: "b", port: 8001, ...more });
const url = { upstream: "https://api.example/v1" };

it.each<[string, Partial<Binding>]>([
  ["nothing at the other end", {}],
  ["two things at the other end", { ...url, llm: { provider: "ollama" } }],
  ["the port of the Guest API", { ...url, port: 7777 }],
  ["a password in the URL", { upstream: "https://user:pass@api.example" }],
  ["a query in the URL", { upstream: "https://api.example/?key=1" }],
  ["an encoded path in the URL", { upstream: "https://api.example/a%2fb" }],
  ["no URL", { upstream: "https://" }],
  ["a provider without a key", { llm: { provider: "openai" } }],
  ["a provider without a place", { llm: { provider: "openai-compatible" } }],
  ["a header of the connection", { ...url, headers: { "Transfer-Encoding": "chunked" } }],
  ["a length", { ...url, headers: { "Content-Length": "0" } }],
  ["a header with a line break", { ...url, headers: { a: "b\r\nc: d" } }],
  ["a header without a name", { ...url, headers: { "a b": "c" } }],
  ["a path that nothing matches", { ...url, paths: ["/a/../b"] }],
  ["a path with a query", { ...url, paths: ["/a?b"] }],
])("%s is refused", (_what, more) => {
  expect(() => checkedBindings([binding(more)])).toThrow(expect.objectContaining({ code: "invalid_request" }));
});

it("two of one name or port are refused", () => {
  const other = binding({ ...url, name: "c" });
  expect(() => checkedBindings([binding(url), other])).toThrow("port 8001 is taken");
  expect(() => checkedBindings([binding(url), binding({ ...url, port: 8002 })])).toThrow("two of that name");
});

it("sound ones are taken as they are", () => {
  const good = [
    binding({ ...url, headers: { authorization: "Bearer ${secret:KEY}" }, paths: ["GET /a/*", "/b/**"] }),
    binding({ name: "llm", port: 8002, llm: { provider: "openai", secret: "KEY", models: ["gpt-*"] } }),
    binding({ name: "local", port: 8003, llm: { provider: "ollama" } }),
    binding({ name: "keyless", port: 8004, llm: { provider: "openai", base_url: "http://127.0.0.1:9/v1" } }),
  ];
  expect(checkedBindings(good)).toEqual(good);
});
