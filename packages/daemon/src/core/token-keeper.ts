import type { HarnessLink } from "./harness.ts";
import type { InstanceRecord } from "./instance-record.ts";
import type { TokenIssuer } from "./token-issuer.ts";

export interface TokenKeeperDeps {
  tokens: TokenIssuer;
  warn: (message: string) => void;
}

/** What a token is good for: when it was issued, and with which key. */
interface Issue {
  at: number;
  epoch: number;
}

/**
 * How often is looked whether the token is old. Not one timer of half a lifetime: that would stand still with a host that
 * is suspended, and know nothing of a clock that is set.
 */
const LOOK_MS = 20_000;

/** Keeps the capability token of one boot fresh for as long as the boot lives. */
export class TokenKeeper {
  readonly #issue: () => Promise<string>;
  readonly #tokens: TokenIssuer;
  readonly #warn: (message: string) => void;
  /** of the newest token that the harness has; null before the first */
  #held: Issue | null = null;
  #link: HarnessLink | null = null;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  /** @param record as it is whenever a token is issued */
  constructor({ tokens, warn }: TokenKeeperDeps, record: Pick<InstanceRecord, "id" | "grant">, boot: number) {
    this.#tokens = tokens;
    this.#issue = () => tokens.issue(record.id, boot, record.grant);
    this.#warn = (error) => warn(`the capability token of ${record.id} could not be renewed yet: ${error}`);
  }

  /** Whether the harness has one of this boot. */
  get isHeld(): boolean {
    return this.#held !== null;
  }

  /** For a harness that gets it by other means than {@link keep}. */
  async first(): Promise<string> {
    const { token, issue } = await this.#make();
    this.#held = issue;
    return token;
  }

  /** Renews now when the token is old (after a pause, or a change of the key), and from then on whenever it is. */
  async keep(link: HarnessLink): Promise<void> {
    this.#link = link;
    this.#timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
    if (this.#isOld) await this.#renew(link);
  }

  /** Renews an old token. What fails is tried again with the next look: the boot goes on, and so does its token. */
  async look(): Promise<void> {
    if (this.#link === null || this.#looking || !this.#isOld) return;
    this.#looking = true;
    try {
      await this.#renew(this.#link);
    } catch (error) {
      this.#warn(String(error));
    } finally {
      this.#looking = false;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#link = null;
  }

  /** Issued in the future: the clock was set back, and nobody takes such a token. */
  get #isOld(): boolean {
    if (this.#held === null || this.#held.epoch !== this.#tokens.epoch) return true;
    const age = Date.now() - this.#held.at;
    return age < 0 || age >= this.#tokens.lifetimeMs / 2;
  }

  async #renew(link: HarnessLink): Promise<void> {
    const { token, issue } = await this.#make();
    await link.renewToken(token);
    this.#held = issue;
  }

  async #make(): Promise<{ token: string; issue: Issue }> {
    const issue = { at: Date.now(), epoch: this.#tokens.epoch };
    return { token: await this.#issue(), issue };
  }
}
