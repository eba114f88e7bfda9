import type { NetworkRefusal } from "../../../core/driver.ts";
import type { LinkOwner } from "./instance-link.ts";

export type Refusal = Pick<NetworkRefusal, "destination" | "protocol" | "reason">;

const WINDOW_MS = 60_000;
/** destinations of an instance that are told one by one in a window */
const MAX_TOLD = 50;
const MAX_COUNTED = 1000;

interface Window {
  startedAt: number;
  told: Set<string>;
  untold: Set<string>;
}

/** Tells each destination once a minute, and of an instance that tries very many only how many more there were. */
export class RefusalReports {
  readonly #report: (refusal: NetworkRefusal) => void;
  readonly #now: () => number;
  readonly #windows = new Map<LinkOwner, Window>();

  constructor(report: (refusal: NetworkRefusal) => void, now: () => number) {
    this.#report = report;
    this.#now = now;
  }

  add(owner: LinkOwner, refusal: Refusal): void {
    const window = this.#window(owner);
    const key = `${refusal.protocol} ${refusal.destination}`;
    if (window.told.has(key)) return;
    if (window.told.size < MAX_TOLD) {
      window.told.add(key);
      this.#tell(owner, refusal, 0);
    } else if (window.untold.size < MAX_COUNTED) window.untold.add(key);
  }

  /** Closes the windows that are over. */
  tick(): void {
    for (const [owner, { startedAt }] of this.#windows) if (this.#now() - startedAt >= WINDOW_MS) this.end(owner);
  }

  end(owner: LinkOwner): void {
    const more = this.#windows.get(owner)?.untold.size ?? 0;
    this.#windows.delete(owner);
    if (more === 0) return;
    const count = more === MAX_COUNTED ? `${more} or more` : String(more);
    const reason = `${count} further destinations were refused within a minute`;
    this.#tell(owner, { destination: "*", protocol: "any", reason }, more);
  }

  #window(owner: LinkOwner): Window {
    const open = this.#windows.get(owner);
    if (open !== undefined && this.#now() - open.startedAt < WINDOW_MS) return open;
    this.end(owner);
    const window = { startedAt: this.#now(), told: new Set<string>(), untold: new Set<string>() };
    this.#windows.set(owner, window);
    return window;
  }

  #tell({ instanceId, boot }: LinkOwner, refusal: Refusal, more: number): void {
    this.#report({ instanceId, boot, ...refusal, more });
  }
}
