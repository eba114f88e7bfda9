import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noteInRun } from "./run-notes.ts";

const MB = 1024 * 1024;

/** A swap file of the whole machine, on disk: `/tmp` may be memory. Disposed of, it is off and gone. */
export class SwapFile implements Disposable {
  readonly #folder = mkdtempSync("/var/tmp/aegis-swap-");
  readonly #path = join(this.#folder, "swap");
  readonly #strike = noteInRun({
    kind: "undo",
    commands: [
      ["/usr/sbin/swapoff", this.#path],
      ["rm", "-rf", this.#folder],
    ],
  });

  /** @throws Error when the machine refuses it; nothing is left then */
  constructor(megabytes: number) {
    try {
      writeFileSync(this.#path, "");
      chmodSync(this.#path, 0o600);
      // written out, since the kernel takes no file with holes
      const block = Buffer.alloc(MB);
      for (let count = 0; count < megabytes; count++) writeFileSync(this.#path, block, { flag: "a" });
      execFileSync("/usr/sbin/mkswap", [this.#path], { stdio: "pipe" });
      execFileSync("/usr/sbin/swapon", [this.#path], { stdio: "pipe" });
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    execFileSync("/usr/sbin/swapoff", [this.#path], { stdio: "pipe" });
    this.#remove();
  }

  #remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    this.#strike();
  }
}
