import { hkdfSync, randomBytes } from "node:crypto";
import { chownSync, existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { AegisError } from "@aegis/protocol/errors";

const KEY_BYTES = 32;

/** The key that every other key of this home is derived from; a file of mode 0600, made at the first start. */
export class MasterKey {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** @throws AegisError `internal` when the file is readable by others or is not a key */
  static open(file: string, owner: { uid: number; gid: number }): MasterKey {
    if (!existsSync(file)) create(file, owner);
    if ((statSync(file).mode & 0o077) !== 0) {
      throw new AegisError("internal", `The key file ${file} can be read by others. Fix it with: chmod 600 ${file}`);
    }
    const key = Buffer.from(readFileSync(file, "utf8").trim(), "base64");
    if (key.length !== KEY_BYTES) {
      throw new AegisError(
        "internal",
        `The key file ${file} is damaged. Restore it from a backup: without it the secrets are lost.`,
      );
    }
    return new MasterKey(key);
  }

  /** A key for one purpose (HKDF-SHA256): knowing one tells nothing of another. */
  derive(purpose: "secrets" | "tokens" | "previews"): Buffer {
    return Buffer.from(hkdfSync("sha256", this.#key, "", `aegis/${purpose}/v1`, KEY_BYTES));
  }
}

/** Appears whole or not at all, and never replaces a key that is there. */
function create(file: string, owner: { uid: number; gid: number }): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${randomBytes(KEY_BYTES).toString("base64")}\n`, { mode: 0o600 });
  chownSync(draft, owner.uid, owner.gid);
  try {
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(draft);
  }
}
