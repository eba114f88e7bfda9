import { createReadStream } from "node:fs";
import { access, constants } from "node:fs/promises";
import { AegisError } from "@aegis/protocol/errors";
import type { Env } from "../setting-values.ts";
import { otherWorkspace, saveUpState } from "../up-state.ts";
import { type Label, unpack } from "./archive.ts";
import { fileOf } from "./backup.ts";
import { type Change, changeState, whileBotIsDown } from "./change.ts";
import { isNewer } from "./is-newer.ts";
import { Keeper } from "./keeper.ts";
import { migrate } from "./migrate.ts";
import { switchGeneration } from "./switch-generation.ts";

/** `aegis kit restore claw FILE --replace`: the bot knows what it knew when the backup was made. */
export async function restore(args: string[], env: Env, print: (text: string) => void): Promise<number> {
  const file = fileOf(args, "restore");
  await access(file, constants.R_OK).catch((cause: unknown) => {
    throw new AegisError("invalid_request", `${file} cannot be read. Is it there, and is it yours?`, { cause });
  });
  if (!args.includes("--replace"))
    throw new AegisError(
      "wrong_state",
      "The bot's present state would be put aside for that of the backup: say --replace. aegis kit rollback claw undoes it.",
    );
  const label = await changeState(env, (change) =>
    change.progress.step("restoring", () => whileBotIsDown(change, () => fillAndSwitch(change, file))),
  );
  print(
    `the bot knows what it knew ${label === null ? "there" : `at ${label.made_at}`}; aegis kit rollback claw undoes it`,
  );
  return 0;
}

async function fillAndSwitch(change: Change, file: string): Promise<Label | null> {
  const { client, state, bot, signal, folder } = change;
  const { generation } = state;
  const workspace = otherWorkspace(state);
  // what a rollback would have led to is about to go
  saveUpState(folder, Object.assign(state, { previous: null }));
  const keeper = await Keeper.open(client, { handle: "claw-keeper", image: bot.image_ref, workspace }, signal);
  let label: Label | null;
  try {
    label = await unpack(keeper, createReadStream(file));
    if (label !== null && isNewer(label.openclaw, generation.openclaw))
      throw new AegisError(
        "wrong_state",
        `The backup is of OpenClaw ${label.openclaw}, the bot runs ${generation.openclaw}: first aegis kit upgrade claw --version ${label.openclaw}`,
      );
    if (label?.openclaw !== generation.openclaw) await migrate(keeper);
  } finally {
    await keeper.close();
  }
  await switchGeneration(change, { generation: { ...generation, workspace }, image: bot.image_ref }, generation);
  return label;
}
