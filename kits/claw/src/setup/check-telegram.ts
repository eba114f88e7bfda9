import { AegisError } from "@aegis/protocol/errors";
import { asObject } from "../relay/json-value.ts";
import { TelegramClient, TelegramFailure } from "../relay/telegram/telegram-client.ts";

const PATIENCE_MS = 15_000;

/**
 * Asks Telegram whose token it is.
 * @returns the bot's name, as in `@my_bot`
 * @throws AegisError in plain words; `unauthorized` when the token is refused, else `unavailable`
 */
export async function checkTelegram({ apiRoot, token }: { apiRoot: string; token: string }): Promise<string> {
  try {
    const me = await new TelegramClient(apiRoot, token).call("getMe", {}, AbortSignal.timeout(PATIENCE_MS));
    const name = asObject(me)?.["username"];
    return typeof name === "string" ? `@${name}` : "a bot without a name";
  } catch (error) {
    if (!(error instanceof TelegramFailure)) throw error;
    if (error.status === 401 || error.status === 404)
      throw new AegisError(
        "unauthorized",
        "Telegram refuses the bot token: copy it whole from @BotFather, or ask it for a new one with /token.",
      );
    throw new AegisError("unavailable", `${error.message}: is ${new URL(apiRoot).host} reachable from here?`);
  }
}
