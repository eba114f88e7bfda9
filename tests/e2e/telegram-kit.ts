import { expect } from "vitest";
import { type BotApiDouble, startBotApiDouble } from "./bot-api-double.ts";
import { KitFixture } from "./kit-fixture.ts";

const TOKEN = "4242:canary-of-the-real-token";

interface Model {
  url: string;
  close: () => Promise<void>;
}

export interface TelegramKitOptions {
  /** who may talk to the bot */
  people: readonly number[];
  /** null: the kit's own demo model. It ends with the rest */
  model: Model | null;
  /** more settings of the kit */
  env?: Record<string, string>;
}

export interface TelegramKit {
  telegram: BotApiDouble;
  /** not started yet */
  kit: KitFixture;
  /** Ends all of it and checks that nothing is left. */
  end: () => Promise<void>;
}

/** A kit whose bot talks over a double of Telegram, and thinks with a model of the test's. */
export async function telegramKit({ people, model, env = {} }: TelegramKitOptions): Promise<TelegramKit> {
  const telegram = await startBotApiDouble({ token: TOKEN });
  const kit = new KitFixture({
    TELEGRAM_BOT_TOKEN: TOKEN,
    TELEGRAM_API_ROOT: telegram.url,
    TELEGRAM_ALLOW_FROM: people.join(","),
    ...(model === null ? {} : { OPENAI_BASE_URL: model.url, OPENAI_MODEL: "of-the-test" }),
    ...env,
  });
  const end = async () => {
    const left = await kit.remove();
    await telegram.close();
    await model?.close();
    expect(left).toEqual([]);
  };
  return { telegram, kit, end };
}
