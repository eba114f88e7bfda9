import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ChildJob, Ended } from "./child-exec.ts";

/** OpenClaw puts the files of one message into one folder of the bot, and tells the model its path. */
const FOLDER = /\bmedia\/inbound\/openclaw-staged-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;
/** Whole or not at all, and never over a file that is there. */
const PUT = 'mkdir -p -- "$1" && { [ -e "$1/$2" ] || { cat > "$1/$2.part" && mv -- "$1/$2.part" "$1/$2"; }; }';

/**
 * Brings files that a person has sent to the sandbox of the chat, when a command names them. The folder's name is what
 * keeps chats apart: nobody can guess it, and only the model of that chat was told.
 */
export class SentFiles {
  readonly #brought = new Map<string, Promise<void>>();

  /**
   * @param from the bot's workspace
   * @param to the sandbox's
   * @param run a command in the sandbox
   * @throws Error when it cannot be brought
   */
  async bring(
    text: string,
    { sandbox, from, to }: { sandbox: string; from: string; to: string },
    run: (job: Pick<ChildJob, "command" | "input">) => Promise<Ended>,
  ): Promise<void> {
    for (const folder of new Set(text.match(FOLDER))) {
      const key = `${sandbox}/${folder}`;
      const bringing = this.#brought.get(key) ?? bringFolder(join(from, folder), join(to, folder), run);
      this.#brought.set(key, bringing);
      try {
        await bringing;
      } catch (error) {
        this.#brought.delete(key);
        throw error;
      }
    }
  }
}

async function bringFolder(
  from: string,
  to: string,
  run: (job: Pick<ChildJob, "command" | "input">) => Promise<Ended>,
): Promise<void> {
  for (const name of await filesIn(from)) {
    const input = await readFile(join(from, name));
    const { code, stderr } = await run({ command: ["/bin/sh", "-c", PUT, "put", to, name], input });
    if (code !== 0)
      throw new Error(`${name}, which was sent, cannot be put into the sandbox: ${stderr.toString().trim()}`);
  }
}

/** None where there is no such folder: then the command has to do without, and says so itself. */
async function filesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile() && !entry.name.startsWith(".")).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
