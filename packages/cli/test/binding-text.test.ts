import { expect, test } from "vitest";
import type { BindingUsage, BindingView } from "@aegis/protocol/binding";
import { bindingsText } from "../src/render/binding-text.ts";

const used = (more: Partial<BindingUsage> = {}): BindingUsage => ({
  requests: 0,
  errors: 0,
  refused: 0,
  request_bytes: 0,
  response_bytes: 0,
  input_tokens: 0,
  output_tokens: 0,
  ...more,
});
const view = (more: Partial<BindingView>): BindingView => ({
  name: "llm",
  port: 8001,
  inherited: false,
  usage: used(),
  tree_usage: used(),
  limits: {},
  ...more,
});

test("an instance without bindings has no line for them", () => {
  expect(bindingsText([])).toBeNull();
});

test("what was used of each, and by the children", () => {
  const usage = used({
    requests: 3,
    errors: 1,
    refused: 2,
    request_bytes: 2048,
    response_bytes: 10_240,
    input_tokens: 7,
    output_tokens: 9,
  });
  expect(bindingsText([view({ usage, tree_usage: usage }), view({ name: "git", port: 8002, inherited: true })])).toBe(
    "llm on 8001: 3 requests (1 failed, 2 refused), 2.0 KB sent, 10 KB received, 7 + 9 tokens; git on 8002 (its parent's): 0 requests, 0 B sent, 0 B received",
  );
  const limits = { requests: 10, window_s: 60 };
  expect(bindingsText([view({ tree_usage: used({ requests: 4 }), limits })])).toBe(
    "llm on 8001: 0 requests, 0 B sent, 0 B received, with its children 4 requests, 0 B sent, 0 B received of at most 10 per 60 s",
  );
});
