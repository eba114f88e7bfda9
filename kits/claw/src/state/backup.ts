import { chown, link, open, rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { invoker } from "@aegis/sdk/aegis-home";
import type { Env } from "../setting-values.ts";
import { pack } from "./archive.ts";
import { type Change, changeState, whileBotIsDown } from "./change.ts";
import { Keeper } from "./keeper.ts";

/** `aegis kit backup claw FILE`: everything that the bot knows, in one file of its owner's. */
export async function backup(args: string[], env: Env, print: (text: string) => void): Promise<number> {
  const file = fileOf(args, "backup");
  await refuseExisting(file);
  await changeState(env, async (change) => {
    await change.progress.step("backing up", () => whileBotIsDown(change, () => writeBackup(change, file)));
  });
  const { uid, gid } = invoker(env);
  if (process.getuid?.() === 0) await chown(file, uid, gid);
  print(`${file}: ${Math.ceil((await stat(file)).size / 1024)} KB. It holds what was said in the chats: keep it safe.`);
  return 0;
}

/** The file appears as a whole or not at all. */
async function writeBackup({ client, state, bot, signal }: Change, file: string): Promise<void> {
  const { openclaw, workspace } = state.generation;
  const draft = `${file}.${process.pid}.part`;
  const keeper = await Keeper.open(client, { handle: "claw-keeper", image: bot.image_ref, workspace }, signal);
  try {
    const handle = await open(draft, "wx", 0o600);
    try {
      await pack(keeper, openclaw, (bytes) => handle.writeFile(bytes));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file).catch(() => refuseExisting(file));
  } finally {
    await rm(draft, { force: true });
    await keeper.close();
  }
}

/** @throws AegisError when there is none, or two */
export function fileOf(args: string[], verb: string): string {
  const files = args.filter((word) => !word.startsWith("-"));
  if (files.length === 1 && files[0] !== undefined) return resolve(files[0]);
  throw new AegisError("invalid_request", `Which file? aegis kit ${verb} claw FILE`);
}

async function refuseExisting(file: string): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found !== null) throw new AegisError("wrong_state", `${file} is there already: name another file, or remove it.`);
}
