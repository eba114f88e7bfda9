import type { BindingUsage, BindingView } from "@aegis/protocol/binding";
import { humanSize } from "./human-size.ts";

/** `llm on 8001: 12 requests (1 failed), 3.2 KB sent, 41 KB received, 1200 + 340 tokens`; null when there is none. */
export function bindingsText(bindings: readonly BindingView[]): string | null {
  return bindings.map(bindingText).join("; ") || null;
}

function bindingText({ name, port, inherited, usage, tree_usage, limits }: BindingView): string {
  const { requests: limit } = limits;
  const handedDown = tree_usage.requests > usage.requests ? `, with its children ${usedText(tree_usage)}` : "";
  const most =
    limit === undefined
      ? ""
      : ` of at most ${limit}${limits.window_s === undefined ? "" : ` per ${limits.window_s} s`}`;
  return `${name} on ${port}${inherited ? " (its parent's)" : ""}: ${usedText(usage)}${handedDown}${most}`;
}

function usedText(usage: BindingUsage): string {
  const { requests, errors, refused, request_bytes, response_bytes, input_tokens, output_tokens } = usage;
  const bad = [errors > 0 ? `${errors} failed` : "", refused > 0 ? `${refused} refused` : ""].filter(
    (one) => one !== "",
  );
  const tokens = input_tokens + output_tokens === 0 ? "" : `, ${input_tokens} + ${output_tokens} tokens`;
  return `${requests} requests${bad.length === 0 ? "" : ` (${bad.join(", ")})`}, ${humanSize(request_bytes)} sent, ${humanSize(response_bytes)} received${tokens}`;
}
