import { chownSync } from "node:fs";
import { join, resolve } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { aegisHome } from "@aegis/sdk/aegis-home";
import type { DaemonPlace } from "@aegis/sdk/daemon-env";
import { openHomeFolder, ownerOf } from "@aegis/sdk/home-folder";
import { LLM_KEY_SECRET } from "../llm-access.ts";
import type { Env } from "../setting-values.ts";
import { loadSettings, type Settings } from "../settings.ts";
import { withDaemon } from "../with-daemon.ts";
import { Ask, type Terminal } from "./ask.ts";
import { checkModel } from "./check-model.ts";
import { checkTelegram } from "./check-telegram.ts";
import { askModel, askTelegram } from "./questions.ts";
import { readSettingsFile, writeSettingsFile } from "./settings-file.ts";
import { type Answers, readSetupOptions, SETUP_HELP, type SetupOptions } from "./setup-options.ts";

/** What the setup decides; every other line of the file is the person's own. */
const DECIDED = [
  "TELEGRAM_BOT_TOKEN",
  "TELEGRAM_API_ROOT",
  "TELEGRAM_ALLOW_FROM",
  "TELEGRAM_OPEN_TO_EVERYONE",
  "TELEGRAM_MODE",
  "CLAW_LLM",
  "CLAW_MODEL",
  "OPENAI_BASE_URL",
  "OPENAI_MODEL",
  "OPENAI_API_KEY",
  "ANTHROPIC_BASE_URL",
  "ANTHROPIC_MODEL",
  "ANTHROPIC_API_KEY",
];

export interface SetupContext extends Terminal {
  env: Env;
  interactive: boolean;
  print: (text: string) => void;
  /** puts a secret into the store of the home's daemon */
  store?: (place: DaemonPlace, name: string, value: string) => Promise<void>;
}

/** Asks for what the kit needs, checks it live, and keeps it: keys of models in the secret store, the rest in one file. */
export async function setup(args: string[], context: SetupContext): Promise<number> {
  const options = readSetupOptions(args);
  if (options.help) {
    context.print(SETUP_HELP);
    return 0;
  }
  if (!options.yes && !context.interactive)
    throw new AegisError(
      "invalid_request",
      "There is no terminal to ask on: give the answers as options or variables, and --yes. See aegis kit setup claw --help",
    );
  const place = { home: aegisHome(context.env), env: context.env };
  const file = options.settingsFile === null ? settingsFile(place) : resolve(options.settingsFile);
  const found = merged({ ...readSettingsFile(file), ...context.env }, options.answers);
  const known = options.yes ? await checkedOnly(found, options, context) : await asked(found, options, context);
  await keep(known, file, place, context.store ?? storeSecret);
  const other = options.settingsFile === null ? "" : ` with --settings ${file}`;
  context.print(`\nkept in ${file}\nStart it with: aegis kit up claw${other}\nSee how it is: aegis kit status claw`);
  return 0;
}

const settingsFile = (place: DaemonPlace): string => join(openHomeFolder(place, "claw"), "settings.env");

async function checkedOnly(known: Env, options: SetupOptions, { print }: SetupContext): Promise<Env> {
  const settings = loadSettings(known);
  if (options.chat === "telegram" && settings.telegram === null)
    throw new AegisError("invalid_request", "There is no bot token: give --token-file, or set TELEGRAM_BOT_TOKEN.");
  if (!options.check) return known;
  if (settings.telegram !== null) print(`telegram  ${await checkTelegram(settings.telegram)} answers`);
  print(`model     ${await modelWord(settings)}`);
  return known;
}

async function asked(found: Env, options: SetupOptions, context: SetupContext): Promise<Env> {
  const ask = new Ask(context);
  const telegram = await untilGood(ask, found, {
    ask: async (known, again) => merged(known, await askTelegram(ask, known, again ? forgetting(options) : options)),
    check: async (known) => {
      const settings = loadSettings({ ...known, CLAW_LLM: "demo" }).telegram;
      if (settings === null || !options.check) return;
      await ask.waitFor(
        "asking Telegram",
        () => checkTelegram(settings),
        (name) => `Telegram knows it as ${name}`,
      );
    },
  });
  return await untilGood(ask, telegram, {
    ask: async (known, again) => {
      const before = loadSettingsOr(known, "demo");
      return merged(known, await askModel(ask, known, before, again ? forgetting(options) : options));
    },
    check: async (known) => {
      const settings = loadSettings(known);
      if (settings.llm.kind === "demo" || !options.check) return;
      await ask.waitFor(
        "asking the model for one word",
        () => modelWord(settings),
        (word) => `model: ${word}`,
      );
    },
  });
}

/** At the second try, everything may be answered anew. */
const forgetting = (options: SetupOptions): SetupOptions => ({ ...options, answers: {} });

/** A half-finished file is no reason not to ask. */
function loadSettingsOr(known: Env, fallback: Settings["llm"]["kind"]): Settings["llm"]["kind"] {
  try {
    return loadSettings(known).llm.kind;
  } catch (error) {
    if (error instanceof AegisError) return fallback;
    throw error;
  }
}

interface Questions {
  ask: (known: Env, again: boolean) => Promise<Env>;
  /** @throws AegisError when the answers are no good */
  check: (known: Env) => Promise<void>;
}

/** What was answered before is what is proposed when it has to be answered again. */
async function untilGood(ask: Ask, found: Env, questions: Questions): Promise<Env> {
  let known = found;
  for (let again = false; ; again = true) {
    try {
      known = await questions.ask(known, again);
      await questions.check(known);
      return known;
    } catch (error) {
      if (!(error instanceof AegisError) || error.message === "Nothing was changed.") throw error;
      ask.problem(error.message);
      if (!(await ask.confirm("Answer again?"))) throw error;
    }
  }
}

async function modelWord({ llm }: Settings): Promise<string> {
  if (llm.kind === "demo") return "the offline demo";
  const { key } = llm;
  if (key !== null && "stored" in key)
    return `${llm.model}; its key is in the secret store, where nobody can read it to check`;
  await checkModel(llm, key?.value ?? null);
  return `${llm.model} answers`;
}

async function keep(
  known: Env,
  file: string,
  place: DaemonPlace,
  store: NonNullable<SetupContext["store"]>,
): Promise<void> {
  const { llm } = loadSettings(known);
  const values: Answers = Object.fromEntries(DECIDED.map((name) => [name, known[name]?.trim() || null]));
  values["CLAW_LLM"] = llm.kind;
  const own = llm.kind === "demo" ? null : llm.kind === "anthropic" ? "ANTHROPIC" : "OPENAI";
  for (const name of ["OPENAI", "ANTHROPIC"])
    if (name !== own) for (const what of ["API_KEY", "BASE_URL", "MODEL"]) values[`${name}_${what}`] = null;
  if (llm.kind !== "demo" && llm.key !== null && "value" in llm.key) {
    await store(place, LLM_KEY_SECRET, llm.key.value);
    values[`${own}_API_KEY`] = `secret:${LLM_KEY_SECRET}`;
  }
  writeSettingsFile(file, values);
  if (process.getuid?.() === 0) chownSync(file, ...ownerOf(place));
}

const storeSecret = (place: DaemonPlace, name: string, value: string): Promise<void> =>
  withDaemon(place, (client) => client.secrets.put(name, value));

function merged(env: Env, answers: Answers): Env {
  const given = Object.entries(answers).map(([name, value]) => [name, value ?? undefined]);
  return { ...env, ...(Object.fromEntries(given) as Env) };
}
