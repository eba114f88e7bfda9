import type { Binding } from "@aegis/protocol/binding";
import type { KeyInside } from "../guest/claw-config.ts";
import { LLM_KEY_SECRET } from "./llm-access.ts";
import type { Settings } from "./settings.ts";

/** The variable that the bot finds the key in at its start; see the guest's `key-inside`. */
const KEY_ENV = "CLAW_LLM_KEY";

/** How the bot reaches the model where the settings want it to have the key itself. Its work instances never have it. */
export interface KeyAccess {
  config: KeyInside;
  /** nothing is added to what the bot sends through it */
  binding: Binding;
  /** of the instance: variable and name in the secret store */
  secrets: string[];
  /** that name */
  stored: string;
}

/** @returns null where the key stays on the host, or there is none */
export function keyAccess({ llm, auth }: Settings, openclaw: string, port: number): KeyAccess | null {
  if (auth === "binding" || llm.kind === "demo" || llm.key === null) return null;
  const stored = "stored" in llm.key ? llm.key.stored : LLM_KEY_SECRET;
  return {
    config: { how: auth, openclaw, base_url: `http://127.0.0.1:${port}` },
    binding: { name: "llm-own-key", port, upstream: llm.baseUrl },
    secrets: [`${KEY_ENV}=${stored}`],
    stored,
  };
}
