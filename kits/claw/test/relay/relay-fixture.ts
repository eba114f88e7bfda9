import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Relay, type RelayOptions, startRelay } from "../../src/relay/start-relay.ts";
import { BotDouble } from "./bot-double.ts";

export const relayKey = "relay-key-7d1f";
export const hookSecret = "hook-secret-93ab";
export const realToken = "7:real-token-AAE";

/** A relay with a bot behind it and a state folder that outlives restarts. */
export class RelayFixture implements AsyncDisposable {
  readonly bot = new BotDouble();
  readonly lines: string[] = [];
  readonly notices: string[] = [];
  stateDir = "";
  relay: Relay | null = null;

  async prepare(): Promise<this> {
    this.stateDir = await mkdtemp(join(tmpdir(), "relay-"));
    await this.bot.start();
    return this;
  }

  async start(upstream: RelayOptions["upstream"]): Promise<Relay> {
    this.relay = await startRelay({
      upstream,
      stateDir: this.stateDir,
      botApi: { host: "127.0.0.1", port: 0 },
      relayKey,
      botToken: "1:aegis",
      webhook: { url: this.bot.url, secret: hookSecret },
      log: (line) => this.lines.push(line),
      notice: (text) => this.notices.push(text),
    });
    return this.relay;
  }

  /** A call of the bot. */
  async api(method: string, parameters?: object | FormData, headers?: Record<string, string>): Promise<ApiAnswer> {
    const form = parameters instanceof FormData;
    const response = await fetch(`http://127.0.0.1:${this.relay?.botApiPort}/bot1:aegis/${method}`, {
      method: "POST",
      headers: headers ?? { "x-aegis-relay-key": relayKey, ...(form ? {} : { "content-type": "application/json" }) },
      body: form ? parameters : JSON.stringify(parameters ?? {}),
    });
    const body: Omit<ApiAnswer, "status"> = JSON.parse(await response.text());
    return { status: response.status, ...body };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay?.close();
    await this.bot.stop();
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

export interface ApiAnswer {
  status: number;
  ok: boolean;
  result?: unknown;
  description?: string;
}
