import { AegisError } from "@aegis/protocol/errors";
import type { Env } from "../setting-values.ts";
import { ensureClawImage } from "../up-image.ts";
import { changeState, whileBotIsDown } from "./change.ts";
import { switchGeneration } from "./switch-generation.ts";

/** `aegis kit rollback claw`: as it was before the last upgrade or restore. A second one goes forward again. */
export async function rollback(_args: string[], env: Env, print: (text: string) => void): Promise<number> {
  const now = await changeState(env, async (change) => {
    const { client, folder, progress, signal, state } = change;
    const { previous, generation } = state;
    if (previous === null)
      throw new AegisError("wrong_state", "There is nothing to go back to: no upgrade or restore has come to its end.");
    const image = await ensureClawImage({
      client,
      folder,
      base: "auto",
      openclaw: previous.openclaw,
      progress,
      signal,
    });
    await progress.step("going back", () =>
      whileBotIsDown(change, () => switchGeneration(change, { generation: previous, image }, generation)),
    );
    return previous;
  });
  print(`the bot runs OpenClaw ${now.openclaw} with what it knew before; again goes forward`);
  return 0;
}
