import http from "node:http";
import https from "node:https";
import type { BindingLimits } from "@aegis/protocol/binding";
import { Refused } from "./refused.ts";

const PARALLEL = 64;
/** connections to one upstream that are kept for the next request, and for how long (ms) */
const KEPT = 8;
const KEPT_MS = 15_000;
/** after this time without a request nothing is left of a lane, in ms */
const UNUSED_MS = 60_000;

/** What the requests over one binding share, whoever they come from: the limits of its owner. */
interface Lane {
  agent: http.Agent;
  running: number;
  /** requests that may start at once; refilled at `per_s` */
  tokens: number;
  refilledAt: number;
  unused: NodeJS.Timeout | undefined;
}

export interface Admission {
  agent: http.Agent;
  /** to be called once, when the request is over */
  leave: () => void;
}

/** How many requests may go over a binding at the same time and in a second, and the connections that they go over. */
export class BindingLanes {
  readonly #lanes = new Map<string, Lane>();

  /**
   * @param key one for each binding and its owner, so that no two owners share a connection
   * @throws Refused when there are too many
   */
  enter(key: string, protocol: string, limits: BindingLimits): Admission {
    const lane = this.#lanes.get(key) ?? this.#open(key, protocol);
    const most = limits.parallel ?? PARALLEL;
    if (lane.running >= most) throw busy(`${most} requests are under way already`, 1);
    this.#takeToken(lane, limits.per_s);
    clearTimeout(lane.unused);
    lane.running += 1;
    return { agent: lane.agent, leave: () => this.#leave(key, lane) };
  }

  close(): void {
    for (const { agent, unused } of this.#lanes.values()) {
      clearTimeout(unused);
      agent.destroy();
    }
    this.#lanes.clear();
  }

  #open(key: string, protocol: string): Lane {
    const options = { keepAlive: true, maxFreeSockets: KEPT, timeout: KEPT_MS };
    const agent = protocol === "https:" ? new https.Agent(options) : new http.Agent(options);
    const lane: Lane = {
      agent,
      running: 0,
      tokens: Number.POSITIVE_INFINITY,
      refilledAt: Date.now(),
      unused: undefined,
    };
    this.#lanes.set(key, lane);
    return lane;
  }

  #takeToken(lane: Lane, perS: number | undefined): void {
    if (perS === undefined) return;
    const now = Date.now();
    const most = Math.max(1, perS);
    const passed = Math.max(0, now - lane.refilledAt) / 1000;
    lane.tokens = Math.min(most, lane.tokens + passed * perS);
    lane.refilledAt = now;
    if (lane.tokens < 1) throw busy(`more than ${perS} requests a second`, Math.ceil((1 - lane.tokens) / perS));
    lane.tokens -= 1;
  }

  #leave(key: string, lane: Lane): void {
    lane.running -= 1;
    if (lane.running > 0) return;
    lane.unused = setTimeout(() => {
      lane.agent.destroy();
      if (this.#lanes.get(key) === lane) this.#lanes.delete(key);
    }, UNUSED_MS).unref();
  }
}

const busy = (why: string, retryAfterS: number): Refused =>
  new Refused("busy", `This binding takes no more for the moment: ${why}. Try again later.`, {
    "retry-after": String(retryAfterS),
  });
