/** Calls a method of the gateway in its own process. */
export type GatewayCall = (method: string, params: object) => Promise<GatewayAnswer>;

export interface GatewayAnswer {
  ok: boolean;
  payload?: unknown;
  error?: unknown;
}

/** The last line of what the pause hook says; times are RFC 3339. */
export type PauseAnswer = { wake_at?: string; boot_lead_s?: number } | { busy: true; reason: string };

/** A free choice; the same one again renews what it got before, should an answer have been lost. */
const REQUEST_ID = "aegis-pause";
/** The bot is awake that long before a job is due: memory that went to swap comes back. */
const WAKE_LEAD_MS = 5_000;
/** A job that is nearer than that is waited for: the bot would hardly sleep before it. */
const SHORTEST_SLEEP_MS = 15_000;
/** A gateway that boots takes up to 30 s, and what is due before it is ready waits for its next turn. */
const BOOT_LEAD_S = 90;
/** From a yes until the kernel freezes the process: a tenth of it on a quiet machine. A pause that is given up costs it. */
const STILL_MS = 400;

/**
 * Says whether the gateway may be paused. From a yes on the process does nothing until the pause is over, so that no turn
 * begins in between; OpenClaw takes no new work meanwhile (`gateway.suspend`), and does again before any timer or request
 * after the pause has its turn. Whatever it took in while suspended it would handle on behalf of whoever resumes it, who may
 * not deliver to Telegram: it would fail, be tried again 1.7 s later, and lose its place in its chat.
 */
export class GatewayPause {
  readonly #call: GatewayCall;
  readonly #standStill: (ms: number) => void;

  /** @param standStill returns after that time, or when a longer pause is over; nothing else of the process runs meanwhile */
  constructor(call: GatewayCall, standStill: (ms: number) => void = blockProcess) {
    this.#call = call;
    this.#standStill = standStill;
  }

  /**
   * @param say hands the answer over to the kernel, within the same turn of the event loop
   * @throws Error when the gateway goes on only when its lease of two minutes is over
   */
  async ask(say: (answer: PauseAnswer) => Promise<void>): Promise<void> {
    const agreed = await this.#prepare().catch((error: unknown) => ({ busy: true as const, reason: textOf(error) }));
    if ("busy" in agreed) return say(agreed);
    // nothing may be awaited from here until it is resumed that takes a turn of the event loop
    await say(agreed.answer);
    this.#standStill(STILL_MS);
    await this.#ask("gateway.suspend.resume", { suspensionId: agreed.suspensionId });
  }

  /**
   * Asks for the schedule first: once suspended, the gateway answers nothing else. It also holds OpenClaw's heartbeat,
   * which is a job like any other. What is planned in between is planned by a turn, and then the gateway is not idle.
   */
  async #prepare(): Promise<{ suspensionId: unknown; answer: PauseAnswer } | (PauseAnswer & { busy: true })> {
    const due = dueAt(await this.#ask("cron.status", {}));
    const left = due === null ? Infinity : due - Date.now();
    if (left < SHORTEST_SLEEP_MS) return { busy: true, reason: "a scheduled job is due" };
    const prepared = await this.#ask("gateway.suspend.prepare", { requestId: REQUEST_ID });
    if (prepared["status"] !== "ready") return { busy: true, reason: reasonOf(prepared) };
    return { suspensionId: prepared["suspensionId"], answer: due === null ? {} : wakeFor(due) };
  }

  async #ask(method: string, params: object): Promise<Record<string, unknown>> {
    const { ok, payload, error } = await this.#call(method, params);
    if (ok && typeof payload === "object" && payload !== null) return { ...payload };
    throw new Error(`the gateway refused ${method}: ${JSON.stringify(error ?? "no answer")}`);
  }
}

/** The clock of this wait goes on while the process is frozen, so it is over at once after a pause. */
function blockProcess(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, ms);
}

/** @returns when the next job is due, in ms since the epoch; null when none is */
function dueAt({ enabled, nextWakeAtMs }: Record<string, unknown>): number | null {
  return enabled === true && typeof nextWakeAtMs === "number" ? nextWakeAtMs : null;
}

const wakeFor = (due: number): PauseAnswer => ({
  wake_at: new Date(due - WAKE_LEAD_MS).toISOString(),
  boot_lead_s: BOOT_LEAD_S,
});

function reasonOf({ blockers, reason }: Record<string, unknown>): string {
  const messages = Array.isArray(blockers) ? blockers.map((blocker: { message?: unknown }) => blocker.message) : [];
  const known = messages.filter((message) => typeof message === "string");
  return known.length > 0 ? known.join(", ") : typeof reason === "string" ? reason : "the gateway is busy";
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
