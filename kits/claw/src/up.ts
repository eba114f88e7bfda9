import { appendFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { aegisHome, socketPathOf } from "@aegis/sdk/aegis-home";
import { AegisClient } from "@aegis/sdk/client";
import { runningDaemon, startDaemon, stopDaemon } from "@aegis/sdk/daemon-process";
import { openHomeFolder } from "@aegis/sdk/home-folder";
import { botInstance, PLACEHOLDER_BOT_TOKEN, WEBHOOK_PATH } from "./bot-instance.ts";
import { startDemoModel } from "./model/start-demo-model.ts";
import type { BotPower, Relay, UpstreamOptions } from "./relay/options.ts";
import { startRelay } from "./relay/start-relay.ts";
import { loadSettings, type Settings } from "./settings.ts";
import { ensureBot, webhookPort } from "./up-bot.ts";
import { ensureClawImage } from "./up-image.ts";
import { BotLease } from "./up-lease.ts";
import { followKey } from "./up-key.ts";
import { UpLock } from "./up-lock.ts";
import { readUpOptions, type UpOptions } from "./up-options.ts";
import { followBotPower } from "./up-power.ts";
import { UpProgress } from "./up-progress.ts";
import { waitUntilReady } from "./up-ready.ts";
import { openUpState } from "./up-state.ts";
import { stopSignal } from "./up-stop.ts";
import { OPENCLAW_VERSION } from "./up-versions.ts";

/** Everything between the command and the chat, and back again at Ctrl-C. */
async function up(args: string[]): Promise<void> {
  const progress = new UpProgress(process.stdout);
  const signal = stopSignal(() => progress.say("\nstopping (Ctrl-C again leaves at once)"));
  const options = readUpOptions(args, process.env);
  const folder = openHomeFolder(options, "claw");
  const settings = loadSettings(options.env, options.settingsFile ?? join(folder, "settings.env"));
  await using cleanup = new AsyncDisposableStack();
  const lock = cleanup.adopt(UpLock.take(folder), (held) => held.release());

  const client = await openDaemon(options, progress, cleanup);
  const state = await openUpState(folder);
  const { openclaw, workspace } = state.generation;
  if (openclaw !== OPENCLAW_VERSION) progress.say(otherVersion(openclaw));
  const image = await ensureClawImage({ client, folder, base: options.base, openclaw, progress, signal });
  const relay = await progress.step("waking the bot", async (report) => {
    const log = (line: string) =>
      appendFileSync(join(folder, "kit.log"), `${new Date().toISOString()} ${line}\n`, { mode: 0o600 });
    const model =
      settings.llm.kind === "demo" ? await startDemoModel({ host: "127.0.0.1", port: state.modelPort, log }) : null;
    if (model !== null) cleanup.defer(() => model.close());
    const { create, secrets, ownKey } = botInstance(settings, {
      image,
      workspace,
      openclaw,
      botApiUrl: `http://127.0.0.1:${state.relayPort}`,
      webhookSecret: state.webhookSecret,
      relayKey: state.relayKey,
      demoModelUrl: model?.url ?? null,
    });
    for (const { name, value } of secrets) await client.secrets.put(name, value);
    const bot = await ensureBot(client, create, state, folder);
    let started: Relay | null = null;
    // the bot ends its turns before it stops, and needs the relay to hand the answers over
    cleanup.defer(async () => {
      await started?.stopDelivering();
      await stopBot(client, bot.id);
      await started?.close();
    });
    const port = webhookPort(bot);
    started = await startRelay({
      relayKey: state.relayKey,
      botToken: PLACEHOLDER_BOT_TOKEN,
      upstream: upstreamOf(settings, options),
      stateDir: join(folder, "relay"),
      botApi: { host: "127.0.0.1", port: state.relayPort },
      webhook: { url: `http://127.0.0.1:${port}${WEBHOOK_PATH}`, secret: state.webhookSecret },
      log,
      notice: (text) => {
        log(text);
        progress.say(text);
      },
    });
    if (started.botPolls !== null) cleanup.adopt(BotLease.hold(client, bot.id, log), (lease) => lease.release());
    if (ownKey !== null) void followKey(client, bot.id, ownKey, { log, signal });
    void followBotPower(client, bot.id, powerTeller(started, progress), signal);
    await waitUntilReady(client, bot, { port, polls: started.botPolls }, report, signal);
    return started;
  });
  lock.ready(relay.chatUrl);
  progress.say(welcome(relay, settings, options));
  if (!signal.aborted) await once(signal, "abort");
}

const otherVersion = (openclaw: string): string =>
  `the bot runs OpenClaw ${openclaw}; this kit comes with ${OPENCLAW_VERSION}: aegis kit upgrade claw`;

/** Tells the chat, and in the terminal that the daemon has gone, or is there again. */
function powerTeller(relay: Relay, progress: UpProgress): (power: BotPower) => void {
  let lost = false;
  return (power) => {
    relay.setBotPower(power);
    if (lost === (power === "unknown")) return;
    lost = power === "unknown";
    progress.say(
      lost ? "aegisd has ended: start it again with `npx aegis up`, or leave with Ctrl-C" : "aegisd is back",
    );
  };
}

/** The daemon of this home; one that we start goes when we go. */
async function openDaemon(
  options: UpOptions,
  progress: UpProgress,
  cleanup: AsyncDisposableStack,
): Promise<AegisClient> {
  if ((await runningDaemon(options.home)) === null) {
    await progress.step("starting aegisd", () => startDaemon(options));
    cleanup.defer(() => stopDaemon(options.home, { stopInstances: true }));
  } else progress.say("aegisd runs already, and goes on when this ends; `npx aegis down` stops it");
  return new AegisClient({ socketPath: socketPathOf(options.home) });
}

/** With the bot its work instances stop; all of them wake again when they are called. */
async function stopBot(client: AegisClient, id: string): Promise<void> {
  try {
    await client.instances.stop(id);
  } catch (error) {
    // deleted, or the daemon was ended before us
    if (!(error instanceof AegisError)) throw error;
  }
}

function upstreamOf({ telegram, llm }: Settings, options: UpOptions): UpstreamOptions {
  if (telegram === null) {
    const label = llm.kind === "demo" ? { modelLabel: "offline demo model" } : {};
    return { kind: "local", host: "127.0.0.1", port: options.chatPort, ...label };
  }
  const { token, apiRoot, allowFrom, groups, mode } = telegram;
  const known = allowFrom.includes("*") || allowFrom.length === 0 ? {} : { allowFrom: allowFrom.map(Number) };
  return { kind: "telegram", token, apiRoot, mode, groups: groups.map(Number), ...known };
}

function welcome(relay: Relay, { llm }: Settings, { home }: UpOptions): string {
  const { AEGIS_HOME: _, ...elsewhere } = process.env;
  const aegis = home === aegisHome(elsewhere) ? "npx aegis" : `AEGIS_HOME=${home} npx aegis`;
  const where = relay.chatUrl ?? "your Telegram bot: write to it";
  const model =
    llm.kind === "demo" ? "an offline demo model; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a real one" : llm.model;
  return `
  Chat    ${where}
  Model   ${model}
  Try     build me a website about lobsters

  ${aegis} instance list    what runs
  ${aegis} logs claw-bot    what the bot says
  Ctrl-C stops everything.
`;
}

try {
  await up(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  const stopped = error instanceof Error && error.name === "AbortError";
  if (!stopped)
    process.stderr.write(
      `\nstopped: ${error instanceof AegisError ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
    );
  process.exit(stopped ? 130 : 1);
}
