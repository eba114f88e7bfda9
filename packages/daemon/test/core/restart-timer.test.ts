import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RestartTimer } from "../../src/core/restart-timer.ts";
import type { RunEnd } from "../../src/core/restart-timer.ts";

const crash: RunEnd = { kind: "ended", clean: false, ranMs: 50 };
const noBoot: RunEnd = { kind: "boot_failed", passing: true };

describe("RestartTimer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("doubles from 100 ms up to a minute", () => {
    const timer = new RestartTimer(() => undefined);
    const delays = Array.from({ length: 12 }, () => timer.delayAfter("always", crash));
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
  });

  it("begins anew after a run of ten seconds, and after somebody decided", () => {
    const timer = new RestartTimer(() => undefined);
    for (let n = 0; n < 5; n++) timer.delayAfter("always", crash);
    expect(timer.delayAfter("always", { ...crash, ranMs: 10_000 })).toBe(100);
    expect(timer.delayAfter("always", crash)).toBe(200);
    timer.reset();
    expect(timer.delayAfter("always", crash)).toBe(100);
  });

  it("follows the policy", () => {
    const timer = new RestartTimer(() => undefined);
    expect(timer.delayAfter("no", crash)).toBeNull();
    expect(timer.delayAfter("on-failure", { ...crash, clean: true })).toBeNull();
    expect(timer.delayAfter("on-failure", crash)).toBe(100);
    expect(timer.delayAfter("always", { ...crash, clean: true })).toBe(200);
  });

  it("gives a boot up that cannot work at once, any other one after ten", () => {
    const timer = new RestartTimer(() => undefined);
    expect(timer.delayAfter("always", { kind: "boot_failed", passing: false })).toBeNull();
    timer.reset();
    const delays = Array.from({ length: 10 }, () => timer.delayAfter("always", noBoot));
    expect(delays.slice(0, 9)).not.toContain(null);
    expect(delays[9]).toBeNull();
  });

  it("fires once, unless it is cancelled", () => {
    const restart = vi.fn<() => void>();
    const timer = new RestartTimer(restart);
    timer.arm(100);
    timer.cancel();
    timer.arm(200);
    timer.arm(-5);
    vi.advanceTimersByTime(10_000);
    expect(restart).toHaveBeenCalledTimes(1);
  });
});
