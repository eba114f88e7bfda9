import { parseArgs } from "node:util";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import type { Env } from "../setting-values.ts";
import { ensureClawImage } from "../up-image.ts";
import { otherWorkspace, saveUpState } from "../up-state.ts";
import { OPENCLAW_VERSION } from "../up-versions.ts";
import { pack, unpack } from "./archive.ts";
import { type Change, changeState, whileBotIsDown } from "./change.ts";
import { isNewer } from "./is-newer.ts";
import { Keeper } from "./keeper.ts";
import { migrate } from "./migrate.ts";
import { pipe } from "./pipe.ts";
import { switchGeneration } from "./switch-generation.ts";

/**
 * `aegis kit upgrade claw [--version X] [--again]`: another OpenClaw on a copy of the state. What was before is kept, and is
 * what runs on when anything of it fails.
 */
export async function upgrade(args: string[], env: Env, print: (text: string) => void): Promise<number> {
  const { version, again } = options(args);
  const done = await changeState(env, async (change) => {
    const from = change.state.generation.openclaw;
    if (version === from && !again) return `the bot runs OpenClaw ${from} already`;
    if (isNewer(from, version))
      throw new AegisError(
        "invalid_request",
        `The bot runs OpenClaw ${from}, which is newer than ${version}, and state does not go backwards: aegis kit rollback claw goes back to what was before the last upgrade.`,
      );
    const { client, folder, progress, signal } = change;
    const image = await ensureClawImage({ client, folder, base: "auto", openclaw: version, progress, signal });
    await whileBotIsDown(change, () => migrateAndSwitch(change, version, image));
    return `the bot runs OpenClaw ${version}; aegis kit rollback claw goes back to ${from} and to what it knew until now`;
  });
  print(done);
  return 0;
}

async function migrateAndSwitch(change: Change, openclaw: string, image: string): Promise<void> {
  const { client, state, bot, progress, signal, folder } = change;
  const { generation } = state;
  const workspace = otherWorkspace(state);
  saveUpState(folder, Object.assign(state, { previous: null }));
  await progress.step("migrating a copy of the state", async () => {
    await using cleanup = new AsyncDisposableStack();
    const open = async (handle: string, of: { image: string; workspace: string }) =>
      cleanup.adopt(await Keeper.open(client, { handle, ...of }, signal), (keeper) => keeper.close());
    const target = await open("claw-keeper", { image, workspace });
    const source = await open("claw-keeper-2", { image: bot.image_ref, workspace: generation.workspace });
    const { write, end, bytes } = pipe();
    const packing = pack(source, generation.openclaw, write).finally(end);
    await Promise.all([packing, unpack(target, bytes)]);
    await migrate(target);
  });
  await progress.step(`starting the bot with OpenClaw ${openclaw}`, () =>
    switchGeneration(change, { generation: { openclaw, workspace }, image }, generation),
  );
}

function options(args: string[]): { version: string; again: boolean } {
  try {
    const { version, again } = parseArgs({
      args,
      options: { version: { type: "string" }, again: { type: "boolean" }, json: { type: "boolean" } },
    }).values;
    if (version !== undefined && !/^\d+(\.\d+){1,3}(-[\w.]+)?$/.test(version))
      throw new AegisError(
        "invalid_request",
        `--version is "${version}": it must be one of OpenClaw's, as in ${OPENCLAW_VERSION}`,
      );
    return { version: version ?? OPENCLAW_VERSION, again: again === true };
  } catch (cause) {
    if (cause instanceof AegisError) throw cause;
    const why = messageOf(cause);
    throw new AegisError("invalid_request", `${why}: aegis kit upgrade claw [--version X] [--again]`, { cause });
  }
}
