import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { WorkRefused } from "./work-refused.ts";

/** A file that somebody has sent into a chat. */
export interface Attachment {
  /** as it was called when it was sent */
  name: string;
  /** where OpenClaw keeps it */
  path: string;
}

const KEPT_PER_SESSION = 20;
const KEPT_SESSIONS = 200;
/** OpenClaw makes names unique by it */
const UNIQUE = /---[0-9a-f-]{36}(?=\.|$)/i;

/** so begins the name of the copy that OpenClaw makes for an agent with a sandbox */
const STAGED = "input-";

/** Which files were sent in which chat: a chat gets at no others. Written whole or not at all. */
export class Inbox {
  readonly #path: string;
  /** newest session last, newest file first */
  readonly #sessions: Map<string, Attachment[]>;

  constructor(path: string) {
    this.#path = path;
    this.#sessions = load(path);
  }

  remember(session: string, paths: readonly string[]): void {
    const known = this.#sessions.get(session) ?? [];
    const fresh = paths.filter((path) => !known.some((one) => one.path === path));
    if (fresh.length === 0) return;
    const files = fresh.map((path) => ({ name: basename(path).replace(UNIQUE, ""), path }));
    this.#sessions.delete(session);
    this.#sessions.set(session, [...files.reverse(), ...known].slice(0, KEPT_PER_SESSION));
    for (const oldest of [...this.#sessions.keys()].slice(0, -KEPT_SESSIONS)) this.#sessions.delete(oldest);
    this.#save();
  }

  /** @param wanted a name, or the path that OpenClaw has told the model. @throws WorkRefused that says what there is */
  find(session: string, wanted: string): Attachment {
    const files = this.#sessions.get(session) ?? [];
    const name = basename(wanted).toLowerCase();
    const namesOf = (file: Attachment) => [file.name, basename(file.path), `${STAGED}${basename(file.path)}`];
    const found = files.find((file) => namesOf(file).some((one) => one.toLowerCase() === name));
    if (found !== undefined) return found;
    if (files.length === 0) throw new WorkRefused("Nobody has sent a file in this chat.");
    throw new WorkRefused(
      `Nobody has sent "${wanted}" in this chat. It has: ${[...new Set(files.map((file) => file.name))].join(", ")}.`,
    );
  }

  #save(): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    const next = `${this.#path}.next`;
    writeFileSync(next, JSON.stringify(Object.fromEntries(this.#sessions), null, 1), { mode: 0o600 });
    renameSync(next, this.#path);
  }
}

/** An unreadable file counts as none: people can send a file again. */
function load(path: string): Map<string, Attachment[]> {
  try {
    const file: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof file !== "object" || file === null) return new Map();
    return new Map(Object.entries(file).filter((entry): entry is [string, Attachment[]] => Array.isArray(entry[1])));
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error && error.code === "ENOENT"))
      return new Map();
    throw error;
  }
}
