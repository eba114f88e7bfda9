import type { BindingUsage } from "@aegis/protocol/binding";
import type { InstanceView } from "@aegis/protocol/instance";
import type { LlmConfig } from "../claw-config.ts";

/** What the bindings of an instance were used for, as the host counts it. */
export type ModelUsage = Pick<BindingUsage, "requests" | "input_tokens" | "output_tokens">;

const MODEL_BINDING = "llm";

/** @returns null for an instance that has no model */
export function modelUsage({ bindings }: Pick<InstanceView, "bindings">): ModelUsage | null {
  return bindings?.find(({ name }) => name === MODEL_BINDING)?.usage ?? null;
}

/** For people: `12.3k tokens`, with the cost where prices are known. */
export function usageText(usage: ModelUsage, price: LlmConfig["price"]): string {
  const { requests, input_tokens: input, output_tokens: output } = usage;
  if (input + output === 0) return `${requests} model ${requests === 1 ? "call" : "calls"}`;
  return `${count(input)} + ${count(output)} tokens${costText(usage, price)}`;
}

function costText({ input_tokens, output_tokens }: ModelUsage, price: LlmConfig["price"]): string {
  if (price === undefined) return "";
  const cost = (input_tokens * price.input + output_tokens * price.output) / 1e6;
  return ` (${cost < 0.01 ? "less than $0.01" : `$${cost.toFixed(2)}`})`;
}

function count(tokens: number): string {
  if (tokens < 1000) return String(tokens);
  return tokens < 1e6 ? `${(tokens / 1000).toFixed(1)}k` : `${(tokens / 1e6).toFixed(2)}M`;
}
