import type { Capabilities } from "@aegis/protocol/capability";
import type { HarnessLink } from "./harness.ts";
import type { TokenIssuer } from "./token-issuer.ts";

/** Keeps the capability token of one boot fresh for as long as the boot lives. */
export class TokenKeeper {
  readonly #issue: () => Promise<string>;
  readonly #tokens: TokenIssuer;
  readonly #renewAfterMs: number;
  #issuedAt = 0;
  #epoch = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(tokens: TokenIssuer, instanceId: string, boot: number, grant: () => Capabilities) {
    this.#tokens = tokens;
    this.#issue = () => tokens.issue(instanceId, boot, grant());
    this.#renewAfterMs = tokens.lifetimeMs / 2;
  }

  first(): Promise<string> {
    this.#issuedAt = Date.now();
    this.#epoch = this.#tokens.epoch;
    return this.#issue();
  }

  /** Renews now when the token is old (after a pause, or a change of the key), then at half of its lifetime each time. */
  async keep(link: HarnessLink): Promise<void> {
    clearTimeout(this.#timer);
    const isOld = Date.now() - this.#issuedAt >= this.#renewAfterMs || this.#epoch !== this.#tokens.epoch;
    if (isOld) await link.renewToken(await this.first());
    this.#timer = setTimeout(() => void this.keep(link).catch(() => this.stop()), this.#renewAfterMs);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
