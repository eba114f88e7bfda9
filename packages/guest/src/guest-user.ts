import { readFileSync } from "node:fs";
import { GuestError } from "./guest-error.ts";

interface Account {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** Lines of /etc/passwd; broken ones are skipped. */
export function parsePasswd(text: string): Account[] {
  const accounts: Account[] = [];
  for (const line of text.split("\n")) {
    const [name, , uid, gid, , home] = line.split(":");
    if (name === undefined || home === undefined || !isNumber(uid) || !isNumber(gid)) continue;
    accounts.push({ name, uid: Number(uid), gid: Number(gid), home });
  }
  return accounts;
}

/**
 * Whether `user` (`name`, `uid`, `uid:gid`) is who the harness runs as; without capabilities nobody else is possible.
 * @throws GuestError `user_not_available`
 */
export function checkUser(user: string, own: { uid: number; gid: number }, accounts: Account[]): void {
  const [who = "", group] = user.split(":");
  const account = accounts.find((candidate) => candidate.name === who);
  const uid = isNumber(who) ? Number(who) : account?.uid;
  if (uid === undefined)
    throw new GuestError("user_not_available", `There is no user "${who}" in the instance's /etc/passwd.`);
  const groupFits = group === undefined || group === String(own.gid) || group === account?.name;
  if (uid === own.uid && groupFits) return;
  throw new GuestError(
    "user_not_available",
    `Processes of this instance run as uid ${own.uid} (gid ${own.gid}) only, not as "${user}": an instance has no ` +
      "capability to change its user. Leave the user out, or use an image whose config names that user.",
  );
}

/** The home of a uid, `/` when nobody says. */
export const homeOf = (uid: number, accounts: Account[]): string =>
  accounts.find((account) => account.uid === uid)?.home ?? "/";

/** Accounts of this machine; none in an image without /etc/passwd. */
export function readAccounts(): Account[] {
  try {
    return parsePasswd(readFileSync("/etc/passwd", "utf8"));
  } catch {
    return [];
  }
}

const isNumber = (text: string | undefined): boolean => text !== undefined && /^\d{1,10}$/.test(text);
