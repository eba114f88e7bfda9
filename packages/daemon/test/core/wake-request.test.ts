import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { wakeRequest } from "../../src/core/wake-request.ts";
import { WakeTimer } from "../../src/core/wake-timer.ts";

const NOW = Date.parse("2026-01-31T08:00:00Z");
const at = (ms: number) => new Date(NOW + ms).toISOString();

describe("what a hook says of its wake", () => {
  it.each([
    [undefined, null],
    [null, null],
    [at(5000), at(5000)],
    ["2026-01-31T10:00:00+01:00", "2026-01-31T09:00:00.000Z"],
    ["9999-12-31T23:59:59.123456789Z", "9999-12-31T23:59:59.123Z"],
  ])("%j is %j", (said, wakeAt) => {
    expect(wakeRequest({ wake_at: said }, NOW)).toEqual({ wakeAt, bootAt: wakeAt });
  });

  it.each([[4999], [0], [-60_000]])("%i ms ahead is no time to sleep", (ms) => {
    expect(wakeRequest({ wake_at: at(ms) }, NOW)).toEqual({ refused: `it wants to be awake at ${at(ms)}` });
  });

  it.each([[""], ["soon"], ["2026-01-31"], ["2026-13-31T08:00:00Z"], [NOW + 60_000], [{}], ["9".repeat(4000)]])(
    "%j is no time at all",
    (said) => {
      expect(wakeRequest({ wake_at: said }, NOW)).toEqual({
        refused: expect.stringMatching(/^its wake_at is no time/),
      });
    },
  );
});

describe("what it says of its boot", () => {
  it.each([[0], [0.5], [600]])("%j s ahead of the wake", (boot_lead_s) => {
    const wakeAt = at(3_600_000);
    expect(wakeRequest({ wake_at: wakeAt, boot_lead_s }, NOW)).toEqual({
      wakeAt,
      bootAt: at(3_600_000 - boot_lead_s * 1000),
    });
  });

  it.each([[-1], [601], ["60"], [{}]])("%j is none", (boot_lead_s) => {
    const refused = expect.stringMatching(/^its boot_lead_s is no number/);
    expect(wakeRequest({ wake_at: at(3_600_000), boot_lead_s }, NOW)).toEqual({ refused });
  });
});

const asleep = (wakeAt: string) => ({ state: "paused", wakeAt, bootAt: wakeAt }) as const;

describe("WakeTimer", () => {
  const fired = vi.fn<(wakeAt: string) => void>();
  beforeEach(() => {
    vi.useFakeTimers({ now: NOW });
    fired.mockClear();
  });
  afterEach(() => void vi.useRealTimers());

  it("fires once, at the time, also months ahead", () => {
    const timer = new WakeTimer(fired);
    const wakeAt = at(60 * 24 * 3_600_000);
    timer.follow(asleep(wakeAt));
    vi.advanceTimersByTime(60 * 24 * 3_600_000 - 1);
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(600_000);
    expect(fired.mock.calls).toEqual([[wakeAt]]);
  });

  it("goes by the clock: a host that slept, or was set, is late by a minute at most", () => {
    const timer = new WakeTimer(fired);
    timer.follow(asleep(at(3_600_000)));
    vi.setSystemTime(NOW + 3_600_000);
    vi.advanceTimersByTime(60_000);
    expect(fired).toHaveBeenCalledTimes(1);
  });

  it("boots ahead of the time what was stopped by then", () => {
    const timer = new WakeTimer(fired);
    const seen = { wakeAt: at(10_000), bootAt: at(4000) };
    timer.follow({ state: "paused", ...seen });
    vi.advanceTimersByTime(5000);
    expect(fired).not.toHaveBeenCalled();
    timer.follow({ state: "stopped", ...seen });
    vi.advanceTimersByTime(0);
    expect(fired.mock.calls).toEqual([[at(10_000)]]);
  });

  it("what was to be before does not count, and what is over is now", () => {
    const timer = new WakeTimer(fired);
    timer.follow(asleep(at(1000)));
    timer.cancel();
    timer.follow(asleep(at(2000)));
    timer.follow(asleep(at(-1000)));
    vi.advanceTimersByTime(10_000);
    expect(fired.mock.calls).toEqual([[at(-1000)]]);
  });
});
