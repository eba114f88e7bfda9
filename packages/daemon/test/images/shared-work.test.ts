import { describe, expect, it } from "vitest";
import { SharedWork } from "../../src/images/shared-work.ts";

describe("SharedWork", () => {
  function setup() {
    const work = new SharedWork<string, number>();
    const finish = Promise.withResolvers<string>();
    const runs: { tell: (progress: number) => void; signal: AbortSignal }[] = [];
    const job = (tell: (progress: number) => void, signal: AbortSignal) => {
      runs.push({ tell, signal });
      signal.addEventListener("abort", () => finish.reject(signal.reason));
      return finish.promise;
    };
    return { work, job, runs, finish };
  }

  it("runs once for several callers, and tells a late one where it stands", async () => {
    const { work, job, runs, finish } = setup();
    const seen: string[] = [];
    const one = work.join("k", job, (progress) => seen.push(`one ${progress}`));
    await Promise.resolve();
    runs[0]?.tell(1);
    const two = work.join("k", job, (progress) => seen.push(`two ${progress}`));
    runs[0]?.tell(2);
    finish.resolve("done");
    expect(await Promise.all([one, two])).toEqual(["done", "done"]);
    expect(seen).toEqual(["one 1", "two 1", "one 2", "two 2"]);
    expect(runs).toHaveLength(1);
  });

  it("goes on while one caller is left", async () => {
    const { work, job, runs, finish } = setup();
    const stop = new AbortController();
    const gone = work.join("k", job, undefined, stop.signal);
    const stays = work.join("k", job);
    stop.abort(new Error("gone"));
    await expect(gone).rejects.toThrow("gone");
    expect(runs[0]?.signal.aborted).toBe(false);
    finish.resolve("done");
    expect(await stays).toBe("done");
  });

  it("is aborted with its last caller, and a later one starts anew", async () => {
    const { work, job, runs } = setup();
    const stop = new AbortController();
    const gone = work.join("k", job, undefined, stop.signal);
    await Promise.resolve();
    stop.abort(new Error("gone"));
    await expect(gone).rejects.toThrow("gone");
    expect(runs[0]?.signal.aborted).toBe(true);
    expect(await work.join("k", async () => "anew")).toBe("anew");
  });

  it("gives every caller the failure", async () => {
    const { work, job, finish } = setup();
    const both = [work.join("k", job), work.join("k", job)];
    finish.reject(new Error("broken"));
    for (const one of both) await expect(one).rejects.toThrow("broken");
    expect(await work.join("k", async () => "anew")).toBe("anew");
  });

  it("does not start for a caller that is gone already", async () => {
    const { work, job, runs } = setup();
    await expect(work.join("k", job, undefined, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
    expect(runs).toHaveLength(0);
  });
});
