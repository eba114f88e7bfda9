import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

const KEY_BYTES = 32;
const SALT_BYTES = 16;

const derive = (password: string, salt: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(password.normalize(), salt, KEY_BYTES, (error, key) => (error === null ? resolve(key) : reject(error)));
  });

/** @returns `salt:hash`, base64url */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt);
  return `${salt.toString("base64url")}:${key.toString("base64url")}`;
}

export async function isPassword(password: string, hash: string): Promise<boolean> {
  const [salt = "", key = ""] = hash.split(":").map((part) => Buffer.from(part, "base64url"));
  return timingSafeEqual(await derive(password, Buffer.from(salt)), Buffer.from(key));
}
