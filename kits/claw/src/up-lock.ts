import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { processStart } from "@aegis/sdk/process-identity";

export interface UpHolder {
  pid: number;
  /** tells the process from a later one with the same pid */
  start: string | null;
  /** of the chat page; null: it has none, or not yet */
  url: string | null;
  /** the bot takes messages; absent: not yet */
  ready?: true;
}

/** One kit on a home. Held by a process that lives; what a killed one left behind does not count. */
export class UpLock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** Who has it now; null: nobody who lives. */
  static holder(folder: string): UpHolder | null {
    const holder = read(join(folder, "up.pid"));
    return holder !== null && holder.start !== null && processStart(holder.pid) === holder.start ? holder : null;
  }

  /** @throws AegisError `wrong_state` that says where the running one is */
  static take(folder: string): UpLock {
    const file = join(folder, "up.pid");
    const holder = UpLock.holder(folder);
    if (holder !== null) throw running(holder);
    rmSync(file, { force: true });
    try {
      writeFileSync(file, JSON.stringify(ours(null)), { flag: "wx", mode: 0o600 });
    } catch (cause) {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
      throw running(read(file));
    }
    return new UpLock(file);
  }

  /** For whoever starts a second one, or asks how it is. */
  ready(url: string | null): void {
    writeFileSync(`${this.#file}.new`, JSON.stringify({ ...ours(url), ready: true }), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }

  release(): void {
    rmSync(this.#file, { force: true });
  }
}

const ours = (url: string | null): UpHolder => ({ pid: process.pid, start: processStart(process.pid), url });

function running(holder: UpHolder | null): AegisError {
  const where = holder?.url ? `its chat is at ${holder.url}` : "it has no chat page yet, or talks through Telegram";
  return new AegisError(
    "wrong_state",
    `The kit already runs on this home (pid ${holder?.pid ?? "unknown"}): ${where}. Use that one, stop it with Ctrl-C, or start another with --home.`,
  );
}

function read(file: string): UpHolder | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as UpHolder;
  } catch (error) {
    // half written by one that was killed, or not there
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error && error.code === "ENOENT"))
      return null;
    throw error;
  }
}
