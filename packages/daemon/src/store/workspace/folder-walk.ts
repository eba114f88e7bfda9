import { chown, mkdir } from "node:fs/promises";
import type { FileAccess } from "./file-access.ts";
import type { Pinned } from "./pinned.ts";
import { invalid } from "./workspace-path.ts";

/** Goes down from a folder, component by component, without following links. */
export class FolderWalk {
  readonly #access: FileAccess;

  constructor(access: FileAccess) {
    this.#access = access;
  }

  /**
   * @param from taken over: it is let go of
   * @param make creates the folders that are missing
   * @throws AegisError `invalid_path` where a link or a file is on the way, `forbidden`
   */
  async down(from: Pinned, names: readonly string[], make = false): Promise<Pinned> {
    let at = from;
    for (const [index, name] of names.entries()) {
      const path = names.slice(0, index + 1).join("/");
      await using above = at;
      this.#access.checkEnter(above.stats, path);
      at = await above.child(name).catch(async (error: unknown) => {
        if (!make || !isMissing(error)) throw error;
        await this.#make(above, name, path);
        return above.child(name);
      });
      const refusal = refusalOf(at);
      if (refusal === null) continue;
      await at[Symbol.asyncDispose]();
      throw invalid(path, refusal);
    }
    return at;
  }

  async #make(above: Pinned, name: string, path: string): Promise<void> {
    this.#access.checkChange(above.stats, path);
    const started = Date.now() - CLOCK_MARGIN_MS;
    try {
      await mkdir(above.pathOf(name), { mode: 0o755 });
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
      throw error;
    }
    const { uid, gid } = this.#access.owner;
    await using made = await above.child(name);
    if (made.stats.uid === uid) return;
    // who runs inside may have put another user's folder in its place, to have it given away
    const isOurs = made.stats.isDirectory() && made.stats.birthtimeMs >= started;
    if (!isOurs) throw invalid(path, "it was changed while the folder was made; try again");
    await chown(made.path, uid, gid);
  }
}

/** The kernel stamps files with a clock that ticks less often than ours. */
const CLOCK_MARGIN_MS = 1000;

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";

function refusalOf({ stats }: Pinned): string | null {
  if (stats.isDirectory()) return null;
  if (stats.isSymbolicLink()) return "a link is on the way, and links are not followed; name the folder itself";
  return "a file is on the way where a folder is needed";
}
