import { expect, test } from "vitest";
import { agentFailure } from "../../guest/work/agent-envelope.ts";
import { modelFailure } from "../../guest/work/model-failure.ts";

test.each([
  [401, '{"error":{"message":"Incorrect API key"}}', "refused the key (401)"],
  [402, "", "no credit left"],
  [429, '{"error":{"code":"insufficient_quota"}}', "no credit left"],
  [429, '{"error":{"message":"Rate limit reached"}}', "no more requests for now (429)"],
  [429, '{"error":"used up","code":"quota_exceeded"}', "budget for the model"],
  [404, '{"error":{"message":"model \\"x\\" not found"}}', 'does not know the model (404): model \\"x\\" not found'],
  [400, '{"error":{"message":"This model\'s maximum context length is 8192 tokens"}}', "larger than what the model"],
  [400, '{"error":{"message":"prompt is too long: 210000 tokens > 200000"}}', "larger than what the model"],
  [413, "", "larger than what the model"],
  [400, '{"error":{"message":"bad tool"}}', "refused the request (400): bad tool"],
  [500, "<html>", "trouble of its own (500)"],
  [529, "", "trouble of its own (529)"],
  [0, "", "could not be reached"],
])("a model that answers %i %s", (status, body, text) => {
  expect(modelFailure({ status, body })).toContain(text);
});

test("what kills the agent comes before what its model said", () => {
  const refusal = { status: 500, body: "" };
  const end = { envelope: null, code: null, killedBy: null, refusal } as const;
  expect(agentFailure({ ...end, code: 137 })).toContain("ran out of memory");
  expect(agentFailure({ ...end, code: 1 })).toContain("trouble of its own");
  expect(agentFailure({ ...end, code: 2, envelope: { ok: false, status: "timeout" } })).toContain(
    "longer than an hour",
  );
  expect(agentFailure({ ...end, code: 1, refusal: null })).toBe("the agent ended with exit code 1.");
});
