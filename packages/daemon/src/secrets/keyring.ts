import type { DatabaseSync } from "node:sqlite";
import { KeyFile } from "./key-file.ts";
import type { MasterKey } from "./master-key.ts";

/**
 * The master key of a home, and its change. While it changes there are two key files; the database says, in the
 * transaction that seals the secrets anew, which of them is the one. So a crash at any point leaves a key that fits.
 */
export class Keyring {
  readonly #db: DatabaseSync;
  readonly #file: KeyFile;
  readonly #next: KeyFile;
  #key: MasterKey;

  /** @throws AegisError `internal` for a key file that is damaged or open to others */
  constructor(path: string, owner: { uid: number; gid: number }, db: DatabaseSync) {
    this.#db = db;
    this.#file = new KeyFile(path, owner);
    this.#next = new KeyFile(`${path}.next`, owner);
    this.#key = this.#settled();
  }

  get key(): MasterKey {
    return this.#key;
  }

  /**
   * Makes another master key. When something fails, the old one stays.
   * @param reseal seals everything with the new key; runs in the transaction that makes it the one
   */
  rotate(reseal: (next: MasterKey) => void): void {
    const next = this.#next.create();
    try {
      this.#durably(() => {
        reseal(next);
        this.#remember(next);
      });
    } finally {
      this.#key = this.#settled();
    }
    // what was sealed with the old key shall not lie around in the write-ahead log
    this.#db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /** Finishes a change that has happened, and undoes one that has not. */
  #settled(): MasterKey {
    const next = this.#next.read();
    if (next !== null && next.fingerprint === this.#remembered()) {
      this.#next.replace(this.#file);
      return next;
    }
    this.#next.remove();
    const key = this.#file.read() ?? this.#file.create();
    if (this.#remembered() === null) this.#remember(key);
    return key;
  }

  /** A transaction that outlives a power cut: the old key is gone right after it. */
  #durably(write: () => void): void {
    this.#db.exec("PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
    try {
      write();
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    } finally {
      this.#db.exec("PRAGMA synchronous = NORMAL");
    }
  }

  #remembered(): string | null {
    const row = this.#db.prepare("SELECT fingerprint FROM master_key").get();
    return row === undefined ? null : String(row["fingerprint"]);
  }

  #remember({ fingerprint }: MasterKey): void {
    this.#db.prepare("INSERT OR REPLACE INTO master_key (one, fingerprint) VALUES (1, ?)").run(fingerprint);
  }
}
