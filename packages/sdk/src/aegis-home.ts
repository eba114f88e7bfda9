import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

export type Env = Readonly<Record<string, string | undefined>>;

/** Who called us: the person behind sudo, or else the user that runs this process. */
export interface Invoker {
  uid: number;
  gid: number;
  home: string;
}

/**
 * @param passwd text of /etc/passwd; only read under sudo, where HOME may be root's
 */
export function invoker(env: Env, passwd: () => string = () => readFileSync("/etc/passwd", "utf8")): Invoker {
  const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, home: env["HOME"] ?? homedir() };
  const uid = Number(env["SUDO_UID"]);
  if (self.uid !== 0 || !env["SUDO_UID"] || !Number.isInteger(uid)) return self;
  const entry = passwd()
    .split("\n")
    .map((line) => line.split(":"))
    .find((fields) => fields[2] === String(uid));
  return { uid, gid: Number(env["SUDO_GID"] ?? entry?.[3] ?? uid), home: entry?.[5] ?? self.home };
}

/** `AEGIS_HOME`, or `~/.aegis` of the person who called, also under sudo. */
export function aegisHome(env: Env): string {
  const named = env["AEGIS_HOME"];
  return named ? resolve(named) : join(invoker(env).home, ".aegis");
}

export const socketPathOf = (home: string): string => join(home, "aegisd.sock");
export const daemonLogPathOf = (home: string): string => join(home, "data", "aegisd.log");
