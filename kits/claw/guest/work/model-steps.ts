import { toolStep } from "./tool-step.ts";

type Json = Record<string, unknown>;

/**
 * What the agent did since its last request, read from the tool calls at the end of the conversation that it sends to
 * the model. Knows the three request formats that the kit sets up; of any other it says nothing.
 */
export function modelSteps(request: unknown): string[] {
  const { messages, input } = object(request);
  const items = list(messages ?? input).map(object);
  const start = items.findLastIndex((item) => isTurnOf(item));
  if (start === -1) return [];
  // parallel calls of the Responses format are items of their own
  const calls = items.slice(firstOfRun(items, start), start + 1).flatMap(toolCalls);
  return calls.map(({ name, args }) => toolStep(name, args)).filter((step) => step !== null);
}

const isTurnOf = (item: Json): boolean => item["role"] === "assistant" || item["type"] === "function_call";

function firstOfRun(items: Json[], end: number): number {
  let start = end;
  while (items[end]?.["type"] === "function_call" && items[start - 1]?.["type"] === "function_call") start -= 1;
  return start;
}

function toolCalls(item: Json): { name: string; args: Json }[] {
  if (item["type"] === "function_call") return [{ name: String(item["name"]), args: parsed(item["arguments"]) }];
  const openai = list(item["tool_calls"]).map((call) => object(object(call)["function"]));
  const anthropic = list(item["content"])
    .map(object)
    .filter((block) => block["type"] === "tool_use");
  return [
    ...openai.map((call) => ({ name: String(call["name"]), args: parsed(call["arguments"]) })),
    ...anthropic.map((block) => ({ name: String(block["name"]), args: object(block["input"]) })),
  ];
}

const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function parsed(text: unknown): Json {
  try {
    return object(JSON.parse(String(text)));
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
