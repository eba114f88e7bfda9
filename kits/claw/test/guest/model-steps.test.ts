import { expect, test } from "vitest";
import { modelSteps } from "../../guest/work/model-steps.ts";

const openaiCall = (name: string, args: object) => ({ function: { name, arguments: JSON.stringify(args) } });

test("openai: the calls since the last request, written files left to the folder watch", () => {
  const request = {
    messages: [
      { role: "user", content: "go" },
      { role: "assistant", tool_calls: [openaiCall("read", { path: "old" })] },
      { role: "tool", content: "..." },
      {
        role: "assistant",
        tool_calls: [openaiCall("exec", { command: "ls\n -la" }), openaiCall("write", { path: "a" })],
      },
      { role: "tool", content: "..." },
    ],
  };
  expect(modelSteps(request)).toEqual(["ran ls -la"]);
});

test("anthropic", () => {
  const request = {
    messages: [
      { role: "user", content: "go" },
      {
        role: "assistant",
        content: [
          { type: "text", text: "I will" },
          { type: "tool_use", name: "web_fetch", input: { url: "http://x" } },
        ],
      },
      { role: "user", content: [{ type: "tool_result" }] },
    ],
  };
  expect(modelSteps(request)).toEqual(["fetched http://x"]);
});

test("responses: parallel calls are items of their own", () => {
  const call = (name: string, args: object) => ({ type: "function_call", name, arguments: JSON.stringify(args) });
  const input = [
    { role: "user" },
    call("edit", { path: "a" }),
    call("edit", { path: "b" }),
    { type: "function_call_output" },
  ];
  expect(modelSteps({ input })).toEqual(["edited a", "edited b"]);
});

test.each([
  null,
  5,
  {},
  { messages: "x" },
  { messages: [null, { role: "assistant", tool_calls: [{ function: { name: "exec", arguments: "{" } }] }] },
])("%o is no reason to fail", (request) => expect(() => modelSteps(request)).not.toThrow());
