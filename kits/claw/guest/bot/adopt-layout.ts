import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";

/** In the middle of a move; one that was cut off is finished at the next start. */
const MOVING = ".claw-moving";
/** what the bot itself has in the workspace */
const OURS = new Set(["state", "agent", MOVING]);

const isState = (folder: string): boolean =>
  existsSync(join(folder, "openclaw.json")) || existsSync(join(folder, "state/openclaw.sqlite"));

/**
 * OpenClaw puts its state at `$OPENCLAW_HOME/.openclaw`, so that a home that was called `.openclaw` itself has it twice; it may
 * also have run with the workspace as its state folder. What is found in one of these places is moved to where the bot
 * looks, and what was there before, if anything, is put aside.
 * @returns what was moved, for the log; null: nothing had to be
 */
export function adoptLayout(workspace: string): string | null {
  const state = join(workspace, "state");
  const moving = join(workspace, MOVING);
  if (!existsSync(moving)) {
    if (isState(state)) return null;
    const nested = ["state/.openclaw/.openclaw", "state/.openclaw", ".openclaw/.openclaw", ".openclaw"];
    const found = nested.find((folder) => isState(join(workspace, folder)));
    if (found !== undefined) renameSync(join(workspace, found), moving);
    else if (isState(workspace)) gather(workspace, moving);
    else return null;
  }
  if (existsSync(state)) renameSync(state, free(join(workspace, "state.before")));
  renameSync(moving, state);
  const agent = join(workspace, "agent");
  const notes = join(state, "workspace");
  if (existsSync(notes) && !existsSync(agent)) renameSync(notes, agent);
  return "the state of an OpenClaw with another layout was taken over";
}

function gather(workspace: string, moving: string): void {
  const names = readdirSync(workspace).filter((name) => !OURS.has(name));
  // the name that tells a state comes last: cut off before it, everything is still found
  names.sort((a, b) => Number(a === "openclaw.json") - Number(b === "openclaw.json"));
  const part = `${moving}.part`;
  mkdirSync(part, { recursive: true, mode: 0o700 });
  for (const name of names) if (name !== `${MOVING}.part`) renameSync(join(workspace, name), join(part, name));
  renameSync(part, moving);
}

function free(path: string): string {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? path : `${path}.${number}`;
    if (!existsSync(name)) return name;
  }
}
