import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AegisError, messageOf } from "@aegis/protocol/errors";

export const SETUP_HELP = `aegis kit setup claw - ask for what the bot needs, check it, and keep it in one file

  aegis kit setup claw [options]      what no option, no variable and no file says is asked for
    --yes                ask nothing: a missing answer gets its default, a needed one is an error
    --local | --telegram the chat is a page on this machine | a Telegram bot
    --token-file FILE    the bot's token, as @BotFather gave it (- is standard input)
    --pairing            strangers get a code that you approve with aegis kit pair claw (default)
    --allow-from IDS     only these Telegram user ids, separated by commas
    --open-to-everyone   with --allow-from '*': yes, really
    --mode MODE          how updates come: relay (default), webhook, polling
    --llm KIND           openai, anthropic, openai-compatible or demo
    --base-url URL       of an OpenAI-compatible server, or another one of the provider
    --model NAME
    --key-file FILE      the model's key (- is standard input)
    --no-key             the model wants none
    --own-tools WHERE    shell and files of the bot's agent: in a sandbox of each chat (sandbox, default), or off
    --no-check           keep the answers without asking Telegram and the model
    --settings FILE      the file (default HOME/claw/settings.env)

Keys are never options: other users of a machine can read command lines. The same answers as variables or lines of the
file: TELEGRAM_BOT_TOKEN, TELEGRAM_ALLOW_FROM, CLAW_LLM, OPENAI_API_KEY, OPENAI_BASE_URL, CLAW_MODEL ...
`;

export interface SetupOptions {
  help: boolean;
  /** ask nothing */
  yes: boolean;
  check: boolean;
  settingsFile: string | null;
  /** answers by the names of the settings; null: not to be set */
  answers: Answers;
  /** `--local`, `--telegram`; null: not said */
  chat: "local" | "telegram" | null;
}

/** Settings by name; null takes one out. */
export type Answers = Record<string, string | null>;

const flag = { type: "boolean" } as const;
const value = { type: "string" } as const;
const OPTIONS = {
  help: { type: "boolean", short: "h" },
  yes: { type: "boolean", short: "y" },
  json: flag,
  local: flag,
  telegram: flag,
  pairing: flag,
  "open-to-everyone": flag,
  "no-key": flag,
  "no-check": flag,
  "token-file": value,
  "allow-from": value,
  mode: value,
  llm: value,
  "base-url": value,
  model: value,
  "key-file": value,
  "own-tools": value,
  settings: value,
} as const;

/** @throws AegisError `invalid_request` that names the option */
export function readSetupOptions(args: string[]): SetupOptions {
  const given = parse(args);
  if (given.local === true && given.telegram === true) throw contradiction("--local and --telegram");
  if (given.pairing === true && given["allow-from"] !== undefined) throw contradiction("--pairing and --allow-from");
  if (given["no-key"] === true && given["key-file"] !== undefined) throw contradiction("--no-key and --key-file");
  const answers: Answers = {};
  if (given["token-file"] !== undefined) answers["TELEGRAM_BOT_TOKEN"] = secretIn("--token-file", given["token-file"]);
  if (given.local === true) answers["TELEGRAM_BOT_TOKEN"] = null;
  if (given.pairing === true) answers["TELEGRAM_ALLOW_FROM"] = answers["TELEGRAM_OPEN_TO_EVERYONE"] = null;
  if (given["allow-from"] !== undefined) {
    answers["TELEGRAM_ALLOW_FROM"] = given["allow-from"];
    answers["TELEGRAM_OPEN_TO_EVERYONE"] = given["open-to-everyone"] === true ? "yes" : null;
  }
  if (given.mode !== undefined) answers["TELEGRAM_MODE"] = given.mode;
  if (given["own-tools"] !== undefined) answers["CLAW_OWN_TOOLS"] = given["own-tools"];
  Object.assign(answers, modelAnswers(given));
  return {
    help: given.help === true,
    yes: given.yes === true,
    check: given["no-check"] !== true,
    settingsFile: given.settings ?? null,
    answers,
    chat: given.local === true ? "local" : given.telegram === true || "token-file" in given ? "telegram" : null,
  };
}

function modelAnswers(given: ReturnType<typeof parse>): Answers {
  const answers: Answers = {};
  const name = given.llm === "anthropic" ? "ANTHROPIC" : "OPENAI";
  if (given.llm !== undefined) answers["CLAW_LLM"] = given.llm;
  if (given.model !== undefined) answers["CLAW_MODEL"] = given.model;
  if (given["base-url"] !== undefined) answers[`${name}_BASE_URL`] = given["base-url"];
  if (given["key-file"] !== undefined) answers[`${name}_API_KEY`] = secretIn("--key-file", given["key-file"]);
  if (given["no-key"] === true) answers[`${name}_API_KEY`] = null;
  return answers;
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (cause) {
    const why = messageOf(cause);
    throw new AegisError("invalid_request", `${why}: see aegis kit setup claw --help`, { cause });
  }
}

function secretIn(option: string, file: string): string {
  try {
    const text = readFileSync(file === "-" ? 0 : file, "utf8").trim();
    if (text !== "") return text;
  } catch (cause) {
    throw new AegisError("invalid_request", `${option}: ${file} cannot be read. Does it exist, and is it yours?`, {
      cause,
    });
  }
  throw new AegisError("invalid_request", `${option}: ${file} is empty.`);
}

const contradiction = (what: string) => new AegisError("invalid_request", `${what} contradict each other: give one.`);
