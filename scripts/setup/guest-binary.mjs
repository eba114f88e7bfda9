import { runCommand } from "./command.mjs";
import { SetupFailure } from "./failure.mjs";
import { asOwner } from "./owner.mjs";
import { newest } from "./newest.mjs";
import { step } from "./progress.mjs";
import { GUEST_DIR, NODE, ROOT } from "./project.mjs";
import { existsSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";

const SOURCES = [
  "packages/guest/src",
  "packages/guest/build.ts",
  "packages/protocol/src",
  "packages/sdk/src",
  "packages/cli/src",
  "package-lock.json",
];

/** Builds aegis-guest into dist/guest, where a source is newer than the last build. */
export async function ensureGuestBinary() {
  const stamp = join(GUEST_DIR, ".stamp");
  if (existsSync(stamp) && SOURCES.every((source) => newest(join(ROOT, source)) <= statSync(stamp).mtimeMs)) return;
  await step("building the harness, aegis-guest", async () => {
    const { code, tail } = await runCommand(NODE, [join(ROOT, "packages/guest/build.ts"), GUEST_DIR], {
      cwd: ROOT,
      ...asOwner(),
    });
    if (code !== 0) throw new SetupFailure(`aegis-guest could not be built:\n${tail}`);
    // what changed may have been no more than a date
    utimesSync(stamp, new Date(), new Date());
  });
}
