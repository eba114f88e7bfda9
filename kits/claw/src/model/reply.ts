import type { FixtureResponse } from "@copilotkit/aimock";

/** What the demo model does in one step. */
export type Reply = { kind: "say"; text: string } | { kind: "call"; tool: string; parameters: object };

export const say = (text: string): Reply => ({ kind: "say", text });
export const call = (tool: string, parameters: object): Reply => ({ kind: "call", tool, parameters });

export function toFixtureResponse(reply: Reply): FixtureResponse {
  switch (reply.kind) {
    case "say":
      return { content: reply.text };
    case "call":
      return { toolCalls: [{ name: reply.tool, arguments: JSON.stringify(reply.parameters) }] };
  }
}
