import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/** What has to be the same at the next start, so that the bot instance can be used again as it is. */
export interface UpState {
  /** secret */
  relayKey: string;
  /** secret */
  webhookSecret: string;
  relayPort: number;
  modelPort: number;
  /** names the spec that the bot instance was made with; null before there is one */
  botSpec: string | null;
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
    botSpec: last.botSpec ?? null,
  };
  saveUpState(folder, state);
  return state;
}

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
