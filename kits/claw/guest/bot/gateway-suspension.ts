import { readFileSync } from "node:fs";

/** A free choice; the same one again renews what it got before, should an answer have been lost. */
const REQUEST_ID = "aegis-pause";
const RPC_TIMEOUT_MS = 15_000;

interface GatewayConfig {
  gateway: { port: number; auth: { token: string } };
}

/** What the pause hook of the bot prints: the last line of it is JSON. */
export type PauseAnswer = { suspensionId: string } | { busy: true; reason: string };

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

  async prepare(): Promise<PauseAnswer> {
    const answer = await this.#call("gateway.suspend.prepare", { requestId: REQUEST_ID });
    if (answer["status"] === "ready") return { suspensionId: String(answer["suspensionId"]) };
    return { busy: true, reason: reasonOf(answer) };
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

function reasonOf({ blockers, reason }: Record<string, unknown>): string {
  const messages = Array.isArray(blockers) ? blockers.map((blocker: { message?: unknown }) => blocker.message) : [];
  const known = messages.filter((message) => typeof message === "string");
  return known.length > 0 ? known.join(", ") : typeof reason === "string" ? reason : "the gateway is busy";
}
