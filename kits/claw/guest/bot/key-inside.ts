import { join } from "node:path";
import type { KeyInside } from "../claw-config.ts";
import { PROVIDER } from "../llm-provider.ts";

/** The variable that the host puts the key into, where the settings want it inside. */
export const KEY_ENV = "CLAW_LLM_KEY";

/** The first version that resolves SecretRefs and does not read `auth-profiles.json` any more. */
const FIRST_WITH_REFS = [2026, 3];

type SecretRef = { source: "env" | "file"; provider: string; id: string };

/** How this version of OpenClaw is to find the key. */
export interface KeyPlan {
  /** to be written 0600 at every boot, so that a key that was changed is the one that counts */
  file: { path: string; text: string } | null;
  /** of the model provider; null: OpenClaw finds it by itself */
  apiKey: string | SecretRef | null;
  /** `secrets.providers` of the config */
  providers: Record<string, object>;
  /** the gateway's environment is to have it too */
  inEnv: boolean;
}

/** @param folders the state, and one that does not outlive the boot */
export function keyPlan({ how, openclaw }: KeyInside, key: string, folders: { state: string; boot: string }): KeyPlan {
  const hasRefs = !isBefore(openclaw, FIRST_WITH_REFS);
  if (how === "env") {
    const apiKey: KeyPlan["apiKey"] = hasRefs ? { source: "env", provider: "default", id: KEY_ENV } : `\${${KEY_ENV}}`;
    return { file: null, apiKey, providers: hasRefs ? { default: { source: "env" } } : {}, inEnv: true };
  }
  if (hasRefs) {
    const path = join(folders.boot, "llm-key");
    return {
      file: { path, text: key },
      apiKey: { source: "file", provider: "claw", id: "value" },
      providers: { claw: { source: "file", path, mode: "singleValue" } },
      inEnv: false,
    };
  }
  const profiles = { [`${PROVIDER}:default`]: { type: "api_key", provider: PROVIDER, key } };
  return {
    file: {
      path: join(folders.state, "agents/main/agent/auth-profiles.json"),
      text: JSON.stringify({ version: 1, profiles }, null, 2),
    },
    apiKey: null,
    providers: {},
    inEnv: false,
  };
}

function isBefore(version: string, [year, month]: number[]): boolean {
  const [a = 0, b = 0] = (version.match(/\d+/g) ?? []).map(Number);
  return a < (year ?? 0) || (a === year && b < (month ?? 0));
}
