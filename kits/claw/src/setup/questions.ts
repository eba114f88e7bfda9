import type { Env } from "../setting-values.ts";
import { text } from "../setting-values.ts";
import type { Ask } from "./ask.ts";
import type { Answers, SetupOptions } from "./setup-options.ts";

const TOKEN = /^\d+:[\w-]{20,}$/;
const IDS = /^\d+([\s,]+\d+)*$/;
const DEFAULT_MODEL = { openai: "gpt-5-mini", anthropic: "claude-sonnet-4-6", "openai-compatible": undefined };

type People = "pairing" | "ids" | "everyone";
type Llm = "openai" | "anthropic" | "openai-compatible" | "demo";

/** Where the chat is and who may talk. What an option has said already is not asked. */
export async function askTelegram(ask: Ask, known: Env, { chat, answers }: SetupOptions): Promise<Answers> {
  const token = text(known, "TELEGRAM_BOT_TOKEN");
  const where =
    chat ??
    (await ask.choose(
      "Where do you talk to it?",
      [
        { value: "telegram", label: "Telegram", hint: "a bot of your own" },
        { value: "local", label: "a page in the browser", hint: "on this machine alone" },
      ],
      token === null ? "local" : "telegram",
    ));
  if (where === "local") return { TELEGRAM_BOT_TOKEN: null };
  if (!("TELEGRAM_BOT_TOKEN" in answers) && token === null)
    ask.say("Write /newbot to @BotFather in Telegram: it asks for a name and gives you a token.");
  const given = answers["TELEGRAM_BOT_TOKEN"] ?? null;
  const chosen =
    given ??
    (await ask.secret("The bot's token", token ?? undefined, (answer) =>
      TOKEN.test(answer) ? undefined : "A token looks like 123456789:AAF... Copy it whole.",
    ));
  const people = "TELEGRAM_ALLOW_FROM" in answers ? {} : await askPeople(ask, text(known, "TELEGRAM_ALLOW_FROM"));
  return { TELEGRAM_BOT_TOKEN: chosen, ...people };
}

async function askPeople(ask: Ask, allowed: string | null): Promise<Answers> {
  const before: People = allowed === null ? "pairing" : allowed.includes("*") ? "everyone" : "ids";
  const people = await ask.choose<People>(
    "Who may talk to it?",
    [
      { value: "pairing", label: "whom you approve", hint: "a stranger gets a code: aegis kit pair claw CODE" },
      { value: "ids", label: "only these Telegram user ids" },
      { value: "everyone", label: "everyone who finds it", hint: "they spend your model's money" },
    ],
    before,
  );
  switch (people) {
    case "pairing":
      return nobody;
    case "ids": {
      const known = before === "ids" ? (allowed ?? undefined) : undefined;
      const ids = await ask.text("Which ids? @userinfobot tells a person theirs", known, (answer) =>
        IDS.test(answer) ? undefined : "Numbers, separated by commas.",
      );
      return { TELEGRAM_ALLOW_FROM: ids, TELEGRAM_OPEN_TO_EVERYONE: null };
    }
    case "everyone": {
      const said = await ask.text(
        'Type "everyone" to open it to everyone; Enter leaves it at approval',
        "",
        () => undefined,
      );
      if (said === "everyone") return { TELEGRAM_ALLOW_FROM: "*", TELEGRAM_OPEN_TO_EVERYONE: "yes" };
      ask.say("Strangers get a code that you approve.");
      return nobody;
    }
  }
}

const nobody: Answers = { TELEGRAM_ALLOW_FROM: null, TELEGRAM_OPEN_TO_EVERYONE: null };

/** Which model, and its key. */
export async function askModel(ask: Ask, known: Env, before: Llm, { answers }: SetupOptions): Promise<Answers> {
  const given = answers["CLAW_LLM"] ?? null;
  const llm =
    given ??
    (await ask.choose<Llm>(
      "Which model answers?",
      [
        { value: "openai", label: "OpenAI" },
        { value: "anthropic", label: "Anthropic" },
        { value: "openai-compatible", label: "another one with OpenAI's API", hint: "Ollama, vLLM, OpenRouter, ..." },
        { value: "demo", label: "none: a small offline demo" },
      ],
      before,
    ));
  // one that is unknown is refused with the list of those that are
  if (llm !== "openai" && llm !== "anthropic" && llm !== "openai-compatible") return { CLAW_LLM: llm };
  const name = llm === "anthropic" ? "ANTHROPIC" : "OPENAI";
  const url = await askUrl(ask, known, llm, answers);
  const same = llm === before;
  const model =
    answers["CLAW_MODEL"] ??
    (await ask.text(
      "Which of its models?",
      (same ? (text(known, "CLAW_MODEL") ?? text(known, `${name}_MODEL`)) : null) ?? DEFAULT_MODEL[llm],
      (answer) => (answer === "" ? "Its name, as the provider writes it." : undefined),
    ));
  const keyName = `${name}_API_KEY`;
  if (keyName in answers) return { CLAW_LLM: llm, CLAW_MODEL: model, ...url };
  const optional = llm === "openai-compatible";
  const key = await ask.secret(
    optional ? "Its key; empty where it wants none" : "Its key",
    text(known, keyName) ?? undefined,
    (answer) => (answer === "" && !optional ? "It answers nobody without a key." : undefined),
  );
  return { CLAW_LLM: llm, CLAW_MODEL: model, ...url, [keyName]: key === "" ? null : key };
}

async function askUrl(ask: Ask, known: Env, llm: Llm, answers: Answers): Promise<Answers> {
  if (llm !== "openai-compatible" || "OPENAI_BASE_URL" in answers) return {};
  const url = await ask.text("Its address", text(known, "OPENAI_BASE_URL") ?? "http://127.0.0.1:11434/v1", (answer) =>
    URL.canParse(answer) ? undefined : "A URL, as in http://127.0.0.1:11434/v1",
  );
  return { OPENAI_BASE_URL: url };
}
