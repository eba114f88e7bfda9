import { AegisError } from "@aegis/protocol/errors";
import { checkedNetwork, type NetworkPolicy } from "@aegis/protocol/network";
import { InvalidArgumentError } from "commander";

const ALLOW = "allow=";

/** `open`, `none`, or `allow=` and hosts with commas between. */
export function network(text: string): NetworkPolicy {
  if (text === "open" || text === "none") return { mode: text };
  if (!text.startsWith(ALLOW))
    throw new InvalidArgumentError("write it as open, none, or allow=api.example.com:443,*.example.org");
  const allow = text
    .slice(ALLOW.length)
    .split(",")
    .filter((entry) => entry !== "");
  try {
    return checkedNetwork({ mode: "allowlist", allow });
  } catch (error) {
    throw error instanceof AegisError ? new InvalidArgumentError(error.message) : error;
  }
}
