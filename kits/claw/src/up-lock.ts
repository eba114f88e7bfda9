import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { processStart } from "@aegis/sdk/process-identity";

interface Holder {
  pid: number;
  /** tells the process from a later one with the same pid */
  start: string | null;
  url: string | null;
}

/** One kit on a home. Held by a process that lives; what a killed one left behind does not count. */
export class UpLock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** @throws AegisError `wrong_state` that says where the running one is */
  static take(folder: string): UpLock {
    const file = join(folder, "up.pid");
    const holder = read(file);
    if (holder !== null && holder.start !== null && processStart(holder.pid) === holder.start) throw running(holder);
    rmSync(file, { force: true });
    try {
      writeFileSync(file, JSON.stringify(ours(null)), { flag: "wx", mode: 0o600 });
    } catch (cause) {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
      throw running(read(file));
    }
    return new UpLock(file);
  }

  /** For whoever starts a second one. */
  setUrl(url: string | null): void {
    writeFileSync(`${this.#file}.new`, JSON.stringify(ours(url)), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }

  release(): void {
    rmSync(this.#file, { force: true });
  }
}

const ours = (url: string | null): Holder => ({ pid: process.pid, start: processStart(process.pid), url });

function running(holder: Holder | null): AegisError {
  const where = holder?.url ? `its chat is at ${holder.url}` : "it has no chat page yet, or talks through Telegram";
  return new AegisError(
    "wrong_state",
    `The kit already runs on this home (pid ${holder?.pid ?? "unknown"}): ${where}. Use that one, stop it with Ctrl-C, or start another with --home.`,
  );
}

function read(file: string): Holder | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Holder;
  } catch (error) {
    // half written by one that was killed, or not there
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error && error.code === "ENOENT"))
      return null;
    throw error;
  }
}
