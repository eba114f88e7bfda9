import { readFileSync, statSync } from "node:fs";
import { ROOT } from "./project.mjs";

/**
 * Spawn options with which files in the project end up as its owner's, also when we are root: under sudo a later
 * `npm install` or `git clean` of the owner must still work.
 */
export function asOwner(env = process.env) {
  const { uid, gid } = statSync(ROOT);
  if (process.getuid?.() !== 0 || uid === 0) return { env };
  return { uid, gid, env: { ...env, HOME: homeOf(uid) ?? ROOT } };
}

function homeOf(uid) {
  const entries = readFileSync("/etc/passwd", "utf8").split("\n");
  return entries.map((line) => line.split(":")).find((fields) => fields[2] === String(uid))?.[5];
}
