import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync, closeSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@aegis/sdk/test/free-port";
import { cpuTimeOf, memoryOf, read } from "../process-memory.ts";
import { PERSON, TOKEN } from "./chat.ts";
import { untilHealthy } from "./until-healthy.ts";

const PACKAGE = "usr/local/lib/node_modules/openclaw";

export interface BareSetup {
  /** for its state, its config and its log */
  folder: string;
  /** the unpacked claw image, whose OpenClaw it is */
  rootfs: string;
  botApiUrl: string;
  modelUrl: string;
  /** its agent has a shell and files, on the host */
  hasTools?: boolean;
}

/** The OpenClaw of the claw image run on the host as it comes, with a webhook, the same chat and the same model. */
export class BareOpenClaw implements AsyncDisposable {
  readonly #setup: BareSetup;
  readonly #webhookPort: number;
  #process: ChildProcess | null = null;

  private constructor(setup: BareSetup, webhookPort: number) {
    this.#setup = setup;
    this.#webhookPort = webhookPort;
  }

  static async prepare(setup: BareSetup): Promise<BareOpenClaw> {
    const [port, webhookPort] = [await freePort(), await freePort()];
    mkdirSync(join(setup.folder, "state"), { recursive: true });
    writeFileSync(join(setup.folder, "state/openclaw.json"), JSON.stringify(config(setup, port, webhookPort)));
    return new BareOpenClaw(setup, webhookPort);
  }

  /** @returns ms from the start of the process until its webhook answers; 0 when it runs already */
  async start(signal: AbortSignal): Promise<number> {
    if (this.#process !== null) return 0;
    const script = join(this.#setup.rootfs, PACKAGE);
    const log = openSync(join(this.#setup.folder, "output.log"), "a");
    // nothing may change the image that it is run from
    const isolated = `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`;
    this.#process = spawn(
      "unshare",
      ["-m", "sh", "-c", isolated, script, process.execPath, join(script, "openclaw.mjs"), "gateway", "run"],
      { cwd: this.#setup.folder, env: this.#env(), detached: true, stdio: ["ignore", log, log] },
    );
    closeSync(log);
    return untilHealthy(this.#webhookPort, signal);
  }

  async stop(): Promise<void> {
    const running = this.#process;
    this.#process = null;
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, "exit");
    process.kill(-running.pid, "SIGTERM");
    await ended;
  }

  /** what its processes have in RAM, shared pages in parts, in MB */
  get memory(): number {
    return this.#pids().reduce((sum, pid) => sum + memoryOf(pid).pss, 0);
  }

  /** time that they have had of a CPU, in ms */
  get cpuTime(): number {
    return this.#pids().reduce((sum, pid) => sum + cpuTimeOf(pid), 0);
  }

  /** The processes of its session. */
  #pids(): number[] {
    const session = String(this.#process?.pid);
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/stat`).split(") ").at(-1)?.split(" ")[3] === session)
      .map(Number);
  }

  #env(): NodeJS.ProcessEnv {
    const state = join(this.#setup.folder, "state");
    return {
      PATH: process.env["PATH"],
      HOME: this.#setup.folder,
      OPENCLAW_STATE_DIR: state,
      OPENCLAW_CONFIG_PATH: join(state, "openclaw.json"),
      OPENCLAW_NO_RESPAWN: "1",
      OPENCLAW_DISABLE_BONJOUR: "1",
      NO_COLOR: "1",
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#setup.folder, { recursive: true, force: true });
  }
}

const OWN_TOOLS = {
  alsoAllow: ["exec", "read", "write", "edit"],
  exec: { host: "gateway", security: "full", ask: "off" },
};

/** What the kit's bot is told as well, without the kit. */
function config({ folder, botApiUrl, modelUrl, hasTools }: BareSetup, port: number, webhookPort: number) {
  const model = {
    id: "echo",
    name: "echo",
    input: ["text"],
    reasoning: false,
    contextWindow: 128_000,
    maxTokens: 4096,
  };
  const provider = { baseUrl: modelUrl, apiKey: "none", api: "openai-completions", models: [model] };
  return {
    gateway: {
      mode: "local",
      port,
      bind: "loopback",
      auth: { mode: "token", token: "bench" },
      reload: { mode: "off" },
    },
    update: { checkOnStart: false },
    telemetry: { enabled: false },
    logging: { file: join(folder, "openclaw.log") },
    discovery: { mdns: { mode: "off" } },
    browser: { enabled: false },
    models: { mode: "replace", catalogRefresh: { enabled: false }, providers: { bench: provider } },
    agents: {
      defaults: {
        model: { primary: "bench/echo" },
        utilityModel: "",
        skipBootstrap: true,
        workspace: join(folder, "agent"),
        heartbeat: { every: "0m" },
      },
    },
    session: { dmScope: "per-channel-peer" },
    tools: { toolSearch: false, profile: "minimal", deny: ["gateway"], ...(hasTools === true ? OWN_TOOLS : {}) },
    plugins: { allow: ["telegram"], slots: { memory: "none" } },
    channels: {
      telegram: {
        enabled: true,
        botToken: TOKEN,
        apiRoot: botApiUrl,
        webhookUrl: `http://127.0.0.1:${webhookPort}/telegram-webhook`,
        webhookSecret: "bench-secret",
        webhookPath: "/telegram-webhook",
        webhookHost: "127.0.0.1",
        webhookPort,
        groupPolicy: "disabled",
        streaming: { mode: "off" },
        commands: { native: false, nativeSkills: false },
        healthMonitor: { enabled: false },
        dmPolicy: "allowlist",
        allowFrom: [String(PERSON)],
      },
    },
  };
}
