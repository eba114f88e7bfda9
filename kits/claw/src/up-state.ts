import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import type { CreateInstance } from "@aegis/protocol/instance";
import { OPENCLAW_VERSION } from "./up-versions.ts";

/** Taken in turns. */
const WORKSPACES = ["claw-bot", "claw-bot-2"] as const;

/** What has to be the same at the next start, so that the bot instance can be used again as it is. */
export interface UpState {
  /** secret */
  relayKey: string;
  /** secret */
  webhookSecret: string;
  relayPort: number;
  modelPort: number;
  /** what the bot instance was made with; null before there is one */
  bot: CreateInstance | null;
  /** what the bot runs and lives in */
  generation: Generation;
  /** what it was before the last upgrade or restore, kept for the way back; null: there is none */
  previous: Generation | null;
}

/** A version of OpenClaw, and the workspace with the state that fits to it. */
export interface Generation {
  openclaw: string;
  workspace: string;
}

const fileOf = (folder: string) => join(folder, "state.json");

/** The state of the last start with ports that are free now. */
export async function openUpState(folder: string): Promise<UpState> {
  const last = readState(folder);
  const state: UpState = {
    relayKey: last.relayKey ?? randomBytes(24).toString("base64url"),
    webhookSecret: last.webhookSecret ?? randomBytes(24).toString("base64url"),
    relayPort: await freePort(last.relayPort),
    modelPort: await freePort(last.modelPort),
    bot: last.bot ?? null,
    generation: last.generation ?? { openclaw: OPENCLAW_VERSION, workspace: WORKSPACES[0] },
    previous: last.previous ?? null,
  };
  saveUpState(folder, state);
  return state;
}

/** The state as the last start left it. @throws AegisError `wrong_state` when there was none */
export function lastUpState(folder: string): UpState {
  const { relayKey, webhookSecret, relayPort, modelPort, bot, generation, previous } = readState(folder);
  if (
    relayKey === undefined ||
    webhookSecret === undefined ||
    relayPort === undefined ||
    modelPort === undefined ||
    generation === undefined
  )
    throw new AegisError("wrong_state", "There is no bot yet: start it with aegis kit up claw.");
  return { relayKey, webhookSecret, relayPort, modelPort, generation, bot: bot ?? null, previous: previous ?? null };
}

/** The workspace that an upgrade or a restore fills while the bot still has the one it has. */
export const otherWorkspace = ({ generation }: UpState): string =>
  generation.workspace === WORKSPACES[0] ? WORKSPACES[1] : WORKSPACES[0];

export function saveUpState(folder: string, state: UpState): void {
  const draft = `${fileOf(folder)}.new`;
  writeFileSync(draft, JSON.stringify(state), { mode: 0o600 });
  renameSync(draft, fileOf(folder));
}

function readState(folder: string): Partial<UpState> {
  try {
    return JSON.parse(readFileSync(fileOf(folder), "utf8")) as Partial<UpState>;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
}

/** The wanted port if nobody has it, else another one. */
async function freePort(wanted: number | undefined): Promise<number> {
  return (wanted === undefined ? null : await probe(wanted)) ?? (await probe(0)) ?? 0;
}

/** @returns the port, or null when it is taken */
function probe(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const found = typeof address === "object" && address !== null ? address.port : null;
      server.close(() => resolve(found));
    });
  });
}
