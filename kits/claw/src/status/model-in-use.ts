import { AegisError } from "@aegis/protocol/errors";
import { CLAW_CONFIG_ENV, type ClawConfig } from "../../guest/claw-config.ts";
import type { Settings } from "../settings.ts";
import { lastUpState, type UpState } from "../up-state.ts";

export interface ModelInUse {
  model: string;
  /** of the provider, as the host calls it */
  baseUrl: string;
}

/** Null: the demo. */
export const modelOfSettings = ({ llm }: Settings): ModelInUse | null =>
  llm.kind === "demo" ? null : { model: llm.model, baseUrl: llm.baseUrl };

/** What the bot was started with, whatever the settings of whoever asks say. Null: the demo. */
export function modelOfBot({ bot, modelPort }: UpState): ModelInUse | null {
  const upstream = bot?.bindings?.find(({ name }) => name === "llm")?.llm;
  const config = bot?.env?.[CLAW_CONFIG_ENV];
  const baseUrl = upstream?.base_url;
  if (config === undefined || baseUrl === undefined || new URL(baseUrl).port === String(modelPort)) return null;
  return { model: (JSON.parse(config) as ClawConfig).llm.model, baseUrl };
}

/** Null: the kit was never up here. */
export function lastState(folder: string): UpState | null {
  try {
    return lastUpState(folder);
  } catch (error) {
    if (error instanceof AegisError) return null;
    throw error;
  }
}
