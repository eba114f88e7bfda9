import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { AegisClient } from "@aegis/sdk/client";
import { socketPathOf } from "@aegis/sdk/aegis-home";
import { waitForInstance } from "@aegis/sdk/instance-watch";
import type { InstanceView, PowerEntry } from "@aegis/protocol/instance";
import { HostLeftovers } from "./host-leftovers.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The claw image takes a minute to build, so every test of a checkout shares one store. */
const SHARED_IMAGES = join(ROOT, "dist/test-images");

/** `npm start` on a home of its own, as a person runs it. */
export class KitFixture {
  readonly home: string;
  /** the store of images */
  readonly images = SHARED_IMAGES;
  readonly client: AegisClient;
  readonly output: string[] = [];
  readonly #env: NodeJS.ProcessEnv;
  readonly #leftovers: HostLeftovers;
  #process: ChildProcess | null = null;

  constructor(env: Record<string, string> = {}) {
    this.home = mkdtempSync("/tmp/aegis-kit-");
    this.client = new AegisClient({ socketPath: socketPathOf(this.home) });
    this.#env = { ...plainEnv(), AEGIS_IMAGES: SHARED_IMAGES, AEGIS_ROUTER_PORT: "0", ...env };
    this.#leftovers = new HostLeftovers(this.home);
  }

  /** Starts and waits for the line that begins with `word`; @returns what follows it */
  async start(word: string, ...args: string[]): Promise<string> {
    const process = this.#spawn(args);
    this.#process = process;
    for await (const line of lines(process)) {
      this.output.push(line);
      const [, rest] = new RegExp(`^\\s*${word}\\s+(.*)$`).exec(line) ?? [];
      if (rest === undefined) continue;
      this.#leftovers.remember();
      void this.#drain(process);
      return rest.trim();
    }
    throw new Error(`npm start ended early:\n${this.output.join("\n")}`);
  }

  /** Starts once more on the same home, to the end. */
  async startAgain(...args: string[]): Promise<{ code: number | null; output: string }> {
    const process = this.#spawn(args);
    const output: string[] = [];
    const ended = once(process, "exit");
    for await (const line of lines(process)) output.push(line);
    const [code] = (await ended) as [number | null];
    return { code, output: output.join("\n") };
  }

  /** Waits until an instance is in a state. */
  reaches(instance: string, state: InstanceView["state"]): Promise<InstanceView> {
    return waitForInstance(this.client, instance, (view) => view.state === state);
  }

  /** Waits until an instance has changed its state so since a time, however shortly it was in that. */
  hasBeen(instance: string, since: number, change: (entry: PowerEntry) => boolean): Promise<InstanceView> {
    const isFresh = (entry: PowerEntry): boolean => Date.parse(entry.since) >= since;
    return waitForInstance(this.client, instance, ({ power_history = [] }) =>
      power_history.some((entry) => isFresh(entry) && change(entry)),
    );
  }

  /** Runs a command in an instance to its end. @returns what it printed, on both streams */
  async printed(instance: string, command: string[], env: Record<string, string> = {}): Promise<string> {
    const printed: string[] = [];
    for await (const step of this.client.instances.exec(instance, { command, env }))
      if ("line" in step) printed.push(step.line);
    return printed.join("\n");
  }

  /** The CLI, as JSON. */
  async aegis(...args: string[]): Promise<unknown> {
    const cli = spawn(process.execPath, [join(ROOT, "packages/cli/bin/aegis.mjs"), ...args, "--json"], {
      env: { ...this.#env, AEGIS_HOME: this.home },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const chunks: Buffer[] = [];
    cli.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    const [code] = (await once(cli, "close")) as [number | null];
    if (code !== 0) throw new Error(`aegis ${args.join(" ")} ended with ${code}: what it said is above`);
    return JSON.parse(Buffer.concat(chunks).toString());
  }

  /** The CLI as a person uses it, with more of an environment. */
  async cli(args: string[], env: Record<string, string> = {}): Promise<{ code: number; output: string }> {
    const cli = spawn(process.execPath, [join(ROOT, "packages/cli/bin/aegis.mjs"), ...args], {
      env: { ...this.#env, AEGIS_HOME: this.home, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const chunks: Buffer[] = [];
    for (const stream of [cli.stdout, cli.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    const [code] = (await once(cli, "close")) as [number | null];
    return { code: code ?? 1, output: Buffer.concat(chunks).toString() };
  }

  /** Ctrl-C, as a terminal sends it: to every process of the foreground. */
  async interrupt(): Promise<void> {
    const running = this.#process;
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, "exit");
    process.kill(-running.pid, "SIGINT");
    await ended;
  }

  /** Ends what runs and removes the home. @returns what is left of it on the host, which must be nothing */
  async remove(): Promise<string[]> {
    await this.interrupt();
    rmSync(this.home, { recursive: true, force: true });
    return this.#leftovers.settled();
  }

  #spawn(args: string[]): ChildProcess {
    return spawn("npm", ["start", "--", "--home", this.home, ...args], {
      cwd: ROOT,
      env: this.#env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  async #drain(process: ChildProcess): Promise<void> {
    for await (const line of lines(process)) this.output.push(line);
  }
}

async function* lines(process: ChildProcess): AsyncGenerator<string> {
  if (process.stdout === null || process.stderr === null) throw new Error("a process without output");
  process.stderr.pipe(globalThis.process.stderr, { end: false });
  yield* createInterface({ input: process.stdout });
}

/** Without the keys and tokens that the person who runs the tests may have: the demo model is to answer. */
function plainEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(OPENAI|ANTHROPIC|TELEGRAM|CLAW|AEGIS|npm|VITEST|NODE_ENV)/.test(name),
    ),
  );
}
