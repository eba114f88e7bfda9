import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { loadSettings } from "../../src/settings.ts";
import { setup } from "../../src/setup/setup.ts";
import { KEY, startDoubles, TOKEN } from "./doubles.ts";

let folder: string;
let url: string;
let asked: Awaited<ReturnType<typeof startDoubles>>["asked"];
let stored: Record<string, string>;
let printed: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "setup-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  ({ url, asked } = await startDoubles());
  stored = {};
  printed = [];
});

const file = () => join(folder, "claw/settings.env");
const kept = () => readFileSync(file(), "utf8");
const secretFile = (name: string, value: string): string => {
  const path = join(folder, name);
  writeFileSync(path, `${value}\n`, { mode: 0o600 });
  return path;
};

const terminal = () => ({ input: new PassThrough(), output: new PassThrough() });

const run = (args: string[], env: Record<string, string> = {}) =>
  setup(args, {
    env: { HOME: folder, AEGIS_HOME: folder, ...env },
    ...terminal(),
    interactive: false,
    print: (text) => printed.push(text),
    store: async (_place, name, value) => void (stored[name] = value),
  });

const telegram = () => ["--token-file", secretFile("token", TOKEN)];
const model = () => ["--llm", "openai-compatible", "--base-url", `${url}/v1`, "--model", "m"];
const key = (value = KEY) => ["--key-file", secretFile("key", value)];
const root = () => ({ TELEGRAM_API_ROOT: url });

describe("with --yes", () => {
  test("checks both, keeps the key in the store and the rest in one file that its owner alone reads", async () => {
    expect(await run(["--yes", ...telegram(), ...model(), ...key()], root())).toBe(0);
    expect(asked.map((call) => call.url)).toEqual([`/bot${TOKEN}/getMe`, "/v1/chat/completions"]);
    expect(asked[1]).toMatchObject({ body: { model: "m", max_tokens: 1 } });
    expect(stored).toEqual({ "claw-llm-key": KEY });
    expect(kept()).not.toContain(KEY);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(printed.join("\n")).toMatch(/@lobster_bot answers/);
    expect(loadSettings({}, file())).toMatchObject({
      telegram: { token: TOKEN, allowFrom: [], apiRoot: url },
      llm: { kind: "openai-compatible", model: "m", key: { stored: "claw-llm-key" } },
    });
    expect(printed.join("\n")).not.toContain(TOKEN);
  });

  test("every answer may come from the environment, or from the file", async () => {
    const env = { ...root(), TELEGRAM_BOT_TOKEN: TOKEN, TELEGRAM_ALLOW_FROM: "42", CLAW_MODEL: "m" };
    await run(["--yes"], { ...env, OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: KEY });
    const first = kept();
    await run(["--yes", "--no-check"]);
    expect(kept()).toBe(first);
    expect(loadSettings({}, file()).telegram?.allowFrom).toEqual(["42"]);
  });

  test("what the person has written into the file stays", async () => {
    await run(["--yes"]);
    writeFileSync(file(), "# mine\nCLAW_BOT_MEMORY_MB=3000\nCLAW_LLM=openai\nOPENAI_API_KEY=old\n");
    await run(["--yes", "--llm", "demo"]);
    expect(kept()).toBe("# mine\nCLAW_BOT_MEMORY_MB=3000\nCLAW_LLM=demo\n");
  });

  test.each([
    [
      "a token that Telegram refuses",
      () => ["--token-file", secretFile("t", TOKEN.replace("AAF", "BBF"))],
      /@BotFather/,
    ],
    ["a key that is refused", () => [...model(), ...key("sk-wrong-key")], /refuses the key/],
    ["a model that is not there", () => [...model(), "--model", "n", ...key()], /knows no model "n"/],
    ["nobody at the address", () => [...model(), "--base-url", "http://127.0.0.2:4", ...key()], /cannot be reached/],
    ["Telegram without a token", () => ["--telegram"], /--token-file/],
    ["everyone, said once", () => [...telegram(), "--allow-from", "*"], /say it twice/],
    ["two ways at once", () => ["--local", "--telegram"], /contradict/],
    ["an option that there is not", () => ["--token", "1"], /--help/],
  ])("%s: refused with the reason, and nothing is kept", async (_name, args, why) => {
    await expect(run(["--yes", ...args()], root())).rejects.toThrow(why);
    await expect(run(["--yes", ...args()], root())).rejects.not.toThrow(/sk-wrong-key|AAF|BBF/);
    expect(() => kept()).toThrow(/ENOENT/);
    expect(stored).toEqual({});
  });
});

test("without a terminal and without --yes it says so", async () => {
  await expect(run([])).rejects.toThrow(/no terminal/);
});

const ENTER = "\r";
const DOWN = "\u001b[B";

/** A person who answers each question when it is there. */
async function talk(answers: [question: RegExp, keys: string][], env: Record<string, string> = {}): Promise<string> {
  const { input, output } = terminal();
  const done = setup([], {
    env: { HOME: folder, AEGIS_HOME: folder, ...env },
    input,
    output,
    interactive: true,
    print: (text) => printed.push(text),
    store: async (_place, name, value) => void (stored[name] = value),
  });
  let seen = "";
  let all = "";
  const left = [...answers];
  output.on("data", (chunk: Buffer) => {
    seen += chunk.toString();
    all += chunk.toString();
    const next = left[0];
    if (next === undefined || !next[0].test(seen)) return;
    left.shift();
    seen = "";
    // not in the middle of the drawing, which no person could
    setImmediate(() => type(input, next[1]));
  });
  await done;
  expect(left).toEqual([]);
  return all;
}

function type(input: PassThrough, keys: string): void {
  // an arrow is three characters that come at once
  for (const one of keys.replaceAll(DOWN, "\0")) input.write(one === "\0" ? DOWN : one);
}

describe("asking", () => {
  test("a refused token is asked for again; pairing is the default; nothing secret is shown", async () => {
    const wrong = TOKEN.replace("AAF", "BBF");
    const shown = await talk(
      [
        [/Where do you talk/, `${DOWN}${ENTER}`],
        [/The bot's token/, wrong + ENTER],
        [/Who may talk/, ENTER],
        [/Telegram refuses[\s\S]*Answer again/, ENTER],
        [/Where do you talk/, ENTER],
        [/The bot's token/, TOKEN + ENTER],
        [/Who may talk/, ENTER],
        [/Which model answers/, `${DOWN}${DOWN}${DOWN}${ENTER}`],
        [/Its address/, `${url}/v1${ENTER}`],
        [/Which of its models/, `m${ENTER}`],
        [/Its key/, `${KEY}x${ENTER}`],
        // what was right is there already
        [/refuses the key[\s\S]*Answer again/, ENTER],
        [/Which model answers/, ENTER],
        [/Its address/, ENTER],
        [/Which of its models/, ENTER],
        [/Its key/, KEY + ENTER],
      ],
      root(),
    );
    for (const secret of [TOKEN, wrong, KEY]) expect(shown).not.toContain(secret);
    expect(stored).toEqual({ "claw-llm-key": KEY });
    expect(loadSettings({}, file()).telegram).toMatchObject({ token: TOKEN, allowFrom: [] });
  });

  test("everyone has to be typed out", async () => {
    const answers: [RegExp, string][] = [
      [/Where do you talk/, ENTER],
      [/The bot's token/, ENTER],
      [/Who may talk/, `${DOWN}${DOWN}${ENTER}`],
      [/Type "everyone"/, ENTER],
      [/Which model answers/, ENTER],
    ];
    const env = { ...root(), TELEGRAM_BOT_TOKEN: TOKEN };
    await talk(answers, env);
    expect(loadSettings({}, file()).telegram?.allowFrom).toEqual([]);
    await talk(
      answers.map(([question, keys]) => [question, /Type/.test(question.source) ? `everyone${ENTER}` : keys]),
      env,
    );
    expect(loadSettings({}, file()).telegram?.allowFrom).toEqual(["*"]);
  });
});
