import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { backoffMs, pause } from "../backoff.ts";
import type { RetryMs } from "../options.ts";
import type { Trouble } from "./trouble.ts";

/** cloudflared takes a few seconds. */
const urlWithinMs = 60_000;
/** One that has lived this long starts again at once. */
const steadyMs = 60_000;
/** Between the polite signal and the other one. */
const graceMs = 5000;
/** A tunnel is a stranger's program: it sees no key of ours. */
const secretNames = /^(TELEGRAM|OPENAI|ANTHROPIC|CLAW|AEGIS)_/;

interface Dependencies {
  /** run by a shell; `{port}` is put in */
  command: string;
  /** its first group, or all that it matches, is the URL */
  urlPattern: string;
  port: number;
  onUrl: (url: string) => void;
  trouble: Trouble;
  log: (line: string) => void;
  retryMs: RetryMs;
}

/** Runs the tunnel program, reads the public URL from what it prints, and starts it again when it ends. */
export class Tunnel {
  readonly #deps: Dependencies;
  readonly #pattern: RegExp;
  readonly #closing = new AbortController();
  #url: string | null = null;
  #done: Promise<void> = Promise.resolve();

  constructor(deps: Dependencies) {
    this.#deps = deps;
    this.#pattern = new RegExp(deps.urlPattern);
  }

  start(): void {
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { retryMs, log, trouble } = this.#deps;
    for (let failures = 0; !this.#closing.signal.aborted;) {
      const began = Date.now();
      const end = await this.#once();
      if (this.#closing.signal.aborted) return;
      failures = Date.now() - began > steadyMs ? 1 : failures + 1;
      log(`the tunnel ended: ${end}`);
      if (failures > 2)
        trouble.begin(
          "tunnel",
          `Telegram: the tunnel does not stay up (${end}). Check TELEGRAM_TUNNEL_COMMAND. Messages wait at Telegram; trying on meanwhile.`,
        );
      await pause(backoffMs(failures, retryMs.first, retryMs.longest), this.#closing.signal);
    }
  }

  /** One life of the program. @returns how it ended */
  async #once(): Promise<string> {
    const child = this.#spawn();
    const exited = Promise.race([
      once(child, "exit").then(([code, signal]) => `it ended with ${signal ?? `exit code ${code}`}`),
      once(child, "error").then(([error]) => String(error)),
    ]);
    let last = "";
    this.#url = null;
    const read = (line: string): void => {
      last = line.trim() || last;
      this.#look(line);
    };
    for (const stream of [child.stdout, child.stderr]) if (stream) createInterface({ input: stream }).on("line", read);
    const silence = setTimeout(() => {
      if (this.#url !== null) return;
      last = `no URL like ${this.#deps.urlPattern} in its output within ${urlWithinMs / 1000} s; its last line: ${last}`;
      kill(child, "SIGTERM");
    }, urlWithinMs);
    const close = (): void => kill(child, "SIGTERM");
    this.#closing.signal.addEventListener("abort", close, { once: true });
    const forced = this.#closeForced(child);
    try {
      const end = await exited;
      return last === "" ? end : `${end}: ${last.slice(0, 200)}`;
    } finally {
      clearTimeout(silence);
      forced();
      this.#closing.signal.removeEventListener("abort", close);
      kill(child, "SIGKILL");
    }
  }

  /** @returns takes it back */
  #closeForced(child: ChildProcess): () => void {
    let timer: NodeJS.Timeout | undefined;
    const begin = (): void => void (timer = setTimeout(() => kill(child, "SIGKILL"), graceMs));
    this.#closing.signal.addEventListener("abort", begin, { once: true });
    return () => {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener("abort", begin);
    };
  }

  #spawn(): ChildProcess {
    const command = this.#deps.command.replaceAll("{port}", String(this.#deps.port));
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !secretNames.test(name)));
    // it goes with us, however we end; a group of its own, so that what it starts goes with it
    return spawn("setpriv", ["--pdeathsig", "TERM", "sh", "-c", `exec ${command}`], {
      env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  #look(line: string): void {
    const found = this.#pattern.exec(line);
    const url = (found?.[1] ?? found?.[0])?.replace(/\/+$/, "");
    if (url === undefined || url === this.#url || !URL.canParse(url)) return;
    this.#url = url;
    this.#deps.log(`the tunnel's address is ${url}`);
    this.#deps.trouble.over();
    this.#deps.onUrl(url);
  }
}

/** The whole group; one that has ended is fine. */
function kill(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
