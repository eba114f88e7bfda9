import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ActivityTimer } from "../../src/core/activity-timer.ts";

describe("ActivityTimer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function timer() {
    const elapsed = vi.fn<() => void>();
    return { elapsed, activity: new ActivityTimer(elapsed) };
  }

  it("elapses once, after the limit", () => {
    const { elapsed, activity } = timer();
    activity.start(1000);
    vi.advanceTimersByTime(999);
    expect(elapsed).not.toHaveBeenCalled();
    vi.advanceTimersByTime(5000);
    expect(elapsed).toHaveBeenCalledTimes(1);
  });

  it("counts from the last touch", () => {
    const { elapsed, activity } = timer();
    activity.start(1000);
    vi.advanceTimersByTime(900);
    activity.touch();
    vi.advanceTimersByTime(900);
    expect(elapsed).not.toHaveBeenCalled();
    vi.advanceTimersByTime(100);
    expect(elapsed).toHaveBeenCalledTimes(1);
  });

  it("never elapses while somebody holds it, and counts from the release", () => {
    const { elapsed, activity } = timer();
    activity.start(1000);
    const [first, second] = [activity.hold(), activity.hold()];
    vi.advanceTimersByTime(10_000);
    first();
    first();
    vi.advanceTimersByTime(10_000);
    expect(elapsed).not.toHaveBeenCalled();
    second();
    vi.advanceTimersByTime(1000);
    expect(elapsed).toHaveBeenCalledTimes(1);
  });

  it("never elapses without a limit or after stop", () => {
    const { elapsed, activity } = timer();
    activity.start(null);
    vi.advanceTimersByTime(100_000);
    activity.start(1000);
    activity.stop();
    activity.hold()();
    vi.advanceTimersByTime(100_000);
    expect(elapsed).not.toHaveBeenCalled();
  });

  it("takes another limit at any time, counted from the same touch", () => {
    const { elapsed, activity } = timer();
    activity.start(1000);
    vi.advanceTimersByTime(500);
    activity.change(null);
    vi.advanceTimersByTime(10_000);
    expect(elapsed).not.toHaveBeenCalled();
    activity.change(20_000);
    vi.advanceTimersByTime(9499);
    expect(elapsed).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(elapsed).toHaveBeenCalledTimes(1);
  });

  it("elapses at once when the new limit is over already, but not while it is held", () => {
    const { elapsed, activity } = timer();
    activity.start(10_000);
    vi.advanceTimersByTime(5000);
    const release = activity.hold();
    activity.change(1000);
    vi.advanceTimersByTime(5000);
    expect(elapsed).not.toHaveBeenCalled();
    release();
    vi.advanceTimersByTime(1000);
    expect(elapsed).toHaveBeenCalledTimes(1);
  });

  it("can be put off, and counts in full after the next touch", () => {
    const { elapsed, activity } = timer();
    activity.start(1000);
    vi.advanceTimersByTime(1000);
    activity.defer(300);
    vi.advanceTimersByTime(299);
    expect(elapsed).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1);
    expect(elapsed).toHaveBeenCalledTimes(2);
    activity.defer(300);
    activity.touch();
    vi.advanceTimersByTime(999);
    expect(elapsed).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(1);
    expect(elapsed).toHaveBeenCalledTimes(3);
  });
});
