import { readFileSync } from "node:fs";

/** A free choice; the same one again renews what it got before, should an answer have been lost. */
const REQUEST_ID = "aegis-pause";
const RPC_TIMEOUT_MS = 15_000;

interface GatewayConfig {
  gateway: { port: number; auth: { token: string } };
}

/** The bot is awake that long before a job is due: memory that went to swap comes back, and the gateway is told. */
const WAKE_LEAD_MS = 5_000;
/** A job that is nearer than that is waited for: the bot would hardly sleep before it. */
const SHORTEST_SLEEP_MS = 15_000;
/** A gateway that boots takes up to 30 s, and what is due before it is ready waits for its next turn. */
const BOOT_LEAD_S = 90;

/** What the pause hook of the bot prints: the last line of it is JSON. */
export type PauseAnswer =
  | { suspensionId: string; wake_at?: string; boot_lead_s?: number }
  | { busy: true; reason: string };

/** OpenClaw's own way to be frozen: it takes no new turn until it is resumed, or two minutes are over. */
export class GatewaySuspension {
  readonly #url: string;
  readonly #token: string;

  /** @param configFile OpenClaw's config, which names port and token of its gateway */
  constructor(configFile: string) {
    const { gateway } = JSON.parse(readFileSync(configFile, "utf8")) as GatewayConfig;
    this.#url = `http://127.0.0.1:${gateway.port}/api/v1/admin/rpc`;
    this.#token = gateway.auth.token;
  }

  /**
   * Asks for the schedule first: once suspended, the gateway answers nothing else. It also holds OpenClaw's heartbeat,
   * which is a job like any other. What is planned in between is planned by a turn, and then the gateway is not idle.
   */
  async prepare(): Promise<PauseAnswer> {
    const due = dueAt(await this.#call("cron.status", {}));
    const left = due === null ? Infinity : due - Date.now();
    if (left < SHORTEST_SLEEP_MS) return { busy: true, reason: "a scheduled job is due" };
    const answer = await this.#call("gateway.suspend.prepare", { requestId: REQUEST_ID });
    if (answer["status"] !== "ready") return { busy: true, reason: reasonOf(answer) };
    return { suspensionId: String(answer["suspensionId"]), ...(due === null ? {} : wakeFor(due)) };
  }

  /** One that is over already is fine. */
  async resume(suspensionId: string): Promise<void> {
    await this.#call("gateway.suspend.resume", { suspensionId });
  }

  async #call(method: string, params: object): Promise<Record<string, unknown>> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      body: JSON.stringify({ method, params }),
      signal: AbortSignal.timeout(RPC_TIMEOUT_MS),
    });
    const body = (await response.json()) as { ok?: boolean; payload?: Record<string, unknown>; error?: object };
    if (body.ok === true && body.payload !== undefined) return body.payload;
    throw new Error(`the gateway refused ${method}: ${JSON.stringify(body.error ?? response.status)}`);
  }
}

/** @returns when the next job is due, in ms since the epoch; null when none is */
function dueAt({ enabled, nextWakeAtMs }: Record<string, unknown>): number | null {
  return enabled === true && typeof nextWakeAtMs === "number" ? nextWakeAtMs : null;
}

const wakeFor = (due: number) => ({
  wake_at: new Date(due - WAKE_LEAD_MS).toISOString(),
  boot_lead_s: BOOT_LEAD_S,
});

function reasonOf({ blockers, reason }: Record<string, unknown>): string {
  const messages = Array.isArray(blockers) ? blockers.map((blocker: { message?: unknown }) => blocker.message) : [];
  const known = messages.filter((message) => typeof message === "string");
  return known.length > 0 ? known.join(", ") : typeof reason === "string" ? reason : "the gateway is busy";
}
