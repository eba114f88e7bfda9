import { setImmediate } from "node:timers/promises";
import { decodeJwt } from "jose";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { HarnessLink } from "../../src/core/harness.ts";
import { TokenKeeper } from "../../src/core/token-keeper.ts";
import { JwtIssuer } from "../../src/secrets/jwt-issuer.ts";

const HOUR = 3_600_000;
const record = { id: "inst-a", grant: { spawn: true } };

/** The harness's end: keeps the newest token, unless the stream is broken. */
class FakeLink {
  token = "";
  broken = false;
  renewals = 0;

  async renewToken(token: string): Promise<void> {
    if (this.broken) throw new Error("the control stream ended");
    this.renewals += 1;
    this.token = token;
  }
}

/** What is being signed just now, on another thread: real time, of which a loaded machine takes more. */
class Signatures extends JwtIssuer {
  #begun: Promise<unknown> = Promise.resolve();

  override issue(...what: Parameters<JwtIssuer["issue"]>): Promise<string> {
    const token = super.issue(...what);
    this.#begun = Promise.allSettled([this.#begun, token]);
    return token;
  }

  async done(): Promise<void> {
    await this.#begun;
  }
}

describe("TokenKeeper", () => {
  const tokens = new Signatures(Buffer.alloc(32, 1));
  let link: FakeLink;
  let keeper: TokenKeeper;
  const warnings: string[] = [];

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
    onTestFinished(() => void vi.useRealTimers());
    link = new FakeLink();
    warnings.length = 0;
    keeper = new TokenKeeper({ tokens, warn: (message) => void warnings.push(message) }, record, 3);
    link.token = await keeper.first();
    await keeper.keep(link as unknown as HarnessLink);
  });
  afterEach(() => keeper.stop());

  /** What is signed on another thread takes real time. */
  const eventually = (holds: () => Promise<void> | void) => vi.waitFor(holds, { timeout: 30_000 });

  const good = () => tokens.verify(link.token, "inst-a", 3);

  /** Lets the clock go on, and what is signed meanwhile be signed and reach the harness. */
  async function pass(ms: number, stepMs = 60_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      vi.advanceTimersByTime(Math.min(stepMs, left));
      await tokens.done();
      await setImmediate();
    }
  }

  it("has a good token at every time of a week", async () => {
    for (let hour = 0; hour < 7 * 24; hour++) {
      await pass(HOUR, 600_000);
      await eventually(async () => expect(await good()).toBe(true));
    }
    expect(link.renewals).toBeGreaterThanOrEqual(7 * 24);
    expect(link.renewals).toBeLessThan(7 * 24 * 3);
    const { iat = 0, exp = 0 } = decodeJwt(link.token);
    expect(exp - iat).toBe(HOUR / 1000);
  });

  it("tries again after a renewal that failed, however often it does", async () => {
    link.broken = true;
    await pass(40 * 60_000);
    expect(link.renewals).toBe(0);
    expect(warnings.length).toBeGreaterThan(1);
    link.broken = false;
    await pass(60_000);
    await eventually(() => expect(link.renewals).toBe(1));
    await pass(45 * 60_000);
    expect(await good()).toBe(true);
  });

  it("notices a host that was suspended, whose timers stood still", async () => {
    vi.setSystemTime(Date.now() + 5 * HOUR);
    expect(await good()).toBe(false);
    await pass(60_000);
    await eventually(async () => expect(await good()).toBe(true));
  });

  it("notices a clock that was set back, and no token is good for longer than an hour by that", async () => {
    const old = link.token;
    vi.setSystemTime(Date.now() - 24 * HOUR);
    expect(await tokens.verify(old, "inst-a", 3)).toBe(false);
    await pass(60_000);
    await eventually(async () => expect(await good()).toBe(true));
  });

  it("renews at once when somebody came with an old token, once", async () => {
    vi.setSystemTime(Date.now() + 2 * HOUR);
    await Promise.all([keeper.look(), keeper.look(), keeper.look()]);
    expect(link.renewals).toBe(1);
    expect(await good()).toBe(true);
    await keeper.look();
    expect(link.renewals).toBe(1);
  });

  it("signs what the grant is at that time", async () => {
    record.grant = { spawn: false };
    onTestFinished(() => void (record.grant = { spawn: true }));
    await pass(HOUR);
    await eventually(() => expect(decodeJwt(link.token)["cap"]).toEqual({ spawn: false }));
  });

  it("ends with its boot", async () => {
    keeper.stop();
    await pass(3 * HOUR, 600_000);
    expect(link.renewals).toBe(0);
    expect(await good()).toBe(false);
  });
});
