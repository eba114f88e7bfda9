import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { recipeKey, runtimeKey, type Versions } from "./recipe.ts";

/**
 * The name of the image that a build with these inputs makes. It is known without building, so who finds it in the image
 * store has nothing to build. It does not tell whether the base came from a registry or was made here.
 */
export async function clawImageRef(
  inputs: Versions & { guestFiles: string; base?: { ref?: string } },
): Promise<string> {
  const hash = createHash("sha256");
  await addFolder(hash, inputs.guestFiles, "");
  const key = recipeKey("image", [
    runtimeKey(inputs),
    hash.digest("hex"),
    ...(inputs.base?.ref === undefined ? [] : [inputs.base.ref]),
  ]);
  return `aegis/claw:${inputs.openclawVersion}-${key.slice(0, 12)}`;
}

async function addFolder(hash: ReturnType<typeof createHash>, root: string, folder: string): Promise<void> {
  const names = await readdir(join(root, folder));
  for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
    const path = join(folder, name);
    const found = await lstat(join(root, path));
    hash.update(JSON.stringify([path, found.isDirectory(), found.isSymbolicLink(), (found.mode & 0o100) !== 0]));
    if (found.isDirectory()) await addFolder(hash, root, path);
    else if (found.isSymbolicLink()) hash.update(await readlink(join(root, path)));
    else
      hash.update(
        createHash("sha256")
          .update(await readFile(join(root, path)))
          .digest(),
      );
  }
}
