import { createHash } from "node:crypto";
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";

export interface Home {
  root: string;
  /** short and stable name of this home, for what lives outside of it */
  key: string;
  data: string;
  socket: string;
  pidFile: string;
  database: string;
  masterKey: string;
  audit: string;
  instances: string;
  workspaces: string;
  /** may be shared by several homes */
  images: string;
}

/** The invoking user: the one who called sudo, else the one we run as. */
export interface Owner {
  uid: number;
  gid: number;
}

export function invokingUser(env: NodeJS.ProcessEnv): Owner {
  const uid = Number(env["SUDO_UID"] ?? process.getuid?.() ?? 0);
  const gid = Number(env["SUDO_GID"] ?? process.getgid?.() ?? 0);
  return { uid, gid };
}

/** Makes the folders of a home, owned by the invoking user and closed to others. */
export function openHome(env: NodeJS.ProcessEnv, owner: Owner): Home {
  const root = env["AEGIS_HOME"] ?? join(homedir(), ".aegis");
  if (!isAbsolute(root)) throw new AegisError("invalid_path", `AEGIS_HOME must be an absolute path, not ${root}.`);
  const data = join(root, "data");
  const home: Home = {
    root,
    key: createHash("sha256").update(root).digest("hex").slice(0, 12),
    data,
    socket: join(root, "aegisd.sock"),
    pidFile: join(data, "aegisd.pid"),
    database: join(data, "aegis.db"),
    masterKey: join(data, "master.key"),
    audit: join(data, "audit"),
    instances: join(data, "instances"),
    workspaces: join(data, "workspaces"),
    images: env["AEGIS_IMAGES"] ?? join(root, "images"),
  };
  for (const folder of [home.root, home.data, home.instances, home.workspaces]) makeFolder(folder, owner);
  return home;
}

/** 0711: an instance's root, which is an unprivileged user outside, must be able to pass through to its own files. */
function makeFolder(folder: string, owner: Owner): void {
  if (mkdirSync(folder, { recursive: true }) === undefined) return;
  chmodSync(folder, 0o711);
  chownSync(folder, owner.uid, owner.gid);
}
