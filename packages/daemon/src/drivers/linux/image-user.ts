import { AegisError } from "@aegis/protocol/errors";
import { readRootfsFile } from "./rootfs-file.ts";

export interface ProcessUser {
  uid: number;
  gid: number;
  groups: number[];
}

const MAX_ID = 65_535;
const isNumber = (text: string): boolean => /^\d{1,10}$/.test(text);

/** Lines of a passwd or group file as fields; comments and broken lines match nothing later. */
const table = (text: string | null): string[][] => (text ?? "").split("\n").map((line) => line.split(":"));

function id(text: string | undefined, user: string): number {
  const value = text !== undefined && isNumber(text) ? Number(text) : Number.NaN;
  if (!(value <= MAX_ID))
    throw new AegisError(
      "image_invalid",
      `The image wants to run as user "${user}", whose id is not between 0 and ${MAX_ID}. Use an image with another USER.`,
    );
  return value;
}

function unknown(what: string, name: string): AegisError {
  return new AegisError(
    "image_invalid",
    `The image wants to run as ${what} "${name}", but its /etc/${what === "user" ? "passwd" : "group"} has none of that name. Use a numeric id or an image that has it.`,
  );
}

/**
 * The ids that an image's `USER` stands for: `uid`, `uid:gid` or names, looked up in the image's own files.
 * @throws AegisError `image_invalid` when a name is unknown or an id is out of range
 */
export async function imageUser(rootfs: string, user: string): Promise<ProcessUser> {
  if (user === "" || user === "0" || user === "root" || user === "0:0") return { uid: 0, gid: 0, groups: [] };
  const [name = "", groupName] = user.split(":", 2);
  const passwd = table(await readRootfsFile(rootfs, "etc/passwd"));
  const groups = table(await readRootfsFile(rootfs, "etc/group"));
  const entry = passwd.find((fields) => (isNumber(name) ? fields[2] === name : fields[0] === name));
  if (entry === undefined && !isNumber(name)) throw unknown("user", name);
  const uid = id(entry?.[2] ?? name, user);
  const primary = entry?.[3] === undefined ? 0 : id(entry[3], user);
  return {
    uid,
    gid: groupName === undefined || groupName === "" ? primary : groupId(groups, groupName, user),
    groups: groupName === undefined && entry !== undefined ? memberOf(groups, entry[0] ?? "", primary) : [],
  };
}

function groupId(groups: string[][], name: string, user: string): number {
  if (isNumber(name)) return id(name, user);
  const entry = groups.find((fields) => fields[0] === name);
  if (entry === undefined) throw unknown("group", name);
  return id(entry[2], user);
}

const memberOf = (groups: string[][], name: string, primary: number): number[] =>
  groups
    .filter((fields) => (fields[3] ?? "").split(",").includes(name))
    .map((fields) => Number(fields[2]))
    .filter((gid) => Number.isInteger(gid) && gid >= 0 && gid <= MAX_ID && gid !== primary)
    .slice(0, 64);
