import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Env } from "@aegis/sdk/aegis-home";
import { humanSize } from "../render/human-size.ts";
import { good, missing, weak, type Finding } from "./finding.ts";

const GUEST = fileURLToPath(new URL("../../../../dist/guest", import.meta.url));
const NODE = fileURLToPath(new URL("../../../../node_modules/node/bin/node", import.meta.url));
const GB = 1024 ** 3;
const NEEDED_BYTES = 2 * GB;
const COMFORTABLE_BYTES = 8 * GB;

/** The account, the disk and what this clone has built. */
export const checkMachine = (home: string, env: Env): Finding[] => [
  account(env),
  existsSync(NODE) ? good("Node 24", NODE) : missing("Node 24", "not in this clone", "npm install"),
  existsSync(join(GUEST, "aegis-guest"))
    ? good("harness", GUEST)
    : missing("harness", "not built yet", "node scripts/bootstrap.mjs, or npm start"),
  disk(home),
];

function account(env: Env): Finding {
  if (process.getuid?.() === 0) return good("account", "root");
  if (onPath("sudo", env)) return good("account", "not root, sudo is there");
  return missing("account", "neither root nor sudo", "apt install sudo, or run aegis up as root");
}

function disk(home: string): Finding {
  let folder = home;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const found = `${humanSize(free)} free for ${home}`;
  if (free < NEEDED_BYTES) return missing("disk", found, "free some space, or set AEGIS_HOME to a larger disk");
  if (free < COMFORTABLE_BYTES)
    return weak("disk", found, "images take about 1 GB each: aegis image delete what is not used");
  return good("disk", found);
}

const onPath = (command: string, env: Env): boolean =>
  (env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch (error) {
      if (error instanceof Error) return false;
      throw error;
    }
  });
