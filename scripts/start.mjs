import { parseArgs } from "node:util";
import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { runMain, SetupFailure } from "./setup/failure.mjs";
import { NODE, ROOT } from "./setup/project.mjs";
import { handOver } from "./setup/root.mjs";

const HELP = `npm start - a chat with an agent that does its work in isolated instances

The first start installs what is missing (npm packages, Debian packages by apt, each named
before), builds the agent's image once (some minutes) and prints the URL of the chat.
Later starts take seconds. Ctrl-C stops everything; a second one leaves at once.

  npm start -- [options]
    --home DIR         where all state is kept (default AEGIS_HOME or ~/.aegis)
    --chat-port PORT   port of the chat page (default: any free one, then always the same)
    --idle TIME        pause bot and work instances after so many seconds (default 60)
    --settings FILE    NAME=value lines instead of environment (default HOME/claw/settings.env)
    --base WHERE       base of the image: auto, registry or local (default auto)
    --no-install       install nothing: say what is missing and stop
    --help             this text

Environment, or lines of the settings file
    OPENAI_API_KEY | ANTHROPIC_API_KEY      a model; without one an offline demo model answers
    OPENAI_BASE_URL, OPENAI_MODEL           any OpenAI-compatible server, Ollama included
    TELEGRAM_BOT_TOKEN, TELEGRAM_ALLOW_FROM a Telegram bot instead of the chat page, and for whom
    TELEGRAM_MODE                           relay (default), webhook or polling; see docs/claw-kit.md
    CLAW_BOT_MEMORY_MB, CLAW_WORK_MEMORY_MB memory of the bot (2048) and of a work instance (1536)
    AEGIS_HOME, AEGIS_IMAGES                state, and an image store that several homes share
    AEGIS_REGISTRY_MIRRORS                  docker.io=http://127.0.0.1:5000,...
`;

const OPTIONS = {
  home: { type: "string" },
  "chat-port": { type: "string" },
  idle: { type: "string" },
  settings: { type: "string" },
  base: { type: "string" },
  "no-install": { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

await runMain(async () => {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const done = await bootstrap({ install: !options["no-install"], why: "instances need networks, mounts and cgroups" });
  if (done !== null) return done;
  const args = process.argv.slice(2).filter((word) => word !== "--no-install");
  return handOver(NODE, ["--disable-warning=ExperimentalWarning", join(ROOT, "kits/claw/src/up.ts"), ...args], {
    ipc: true,
  });
});

function readOptions() {
  try {
    const { values } = parseArgs({ options: OPTIONS });
    checkNumber("--idle", values.idle, /^(never|\d+(\.\d+)?)$/, "a number of seconds, or never");
    checkNumber("--chat-port", values["chat-port"], /^\d{1,5}$/, "a port");
    return values;
  } catch (error) {
    if (error instanceof SetupFailure) throw error;
    throw new SetupFailure(`${error.message}\nThe options: npm start -- --help`);
  }
}

/** Said before anything is installed, and by the name that was typed. */
function checkNumber(name, value, pattern, what) {
  if (value === undefined || pattern.test(value)) return;
  throw new SetupFailure(`${name} is "${value}": it must be ${what}.\nThe options: npm start -- --help`);
}
