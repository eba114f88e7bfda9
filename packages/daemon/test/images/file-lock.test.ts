import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileLock } from "../../src/images/file-lock.ts";

describe("FileLock", () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aegis-lock-"));
    file = join(folder, "lock");
  });
  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  it("is held by one at a time", async () => {
    const order: string[] = [];
    const first = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const one = new FileLock(file).hold("exclusive", async () => {
      held.resolve();
      await first.promise;
      order.push("one");
    });
    await held.promise;
    const two = new FileLock(file).hold("exclusive", async () => void order.push("two"));
    expect(await new FileLock(file).tryHold("shared", async () => true)).toBeNull();
    first.resolve();
    await Promise.all([one, two]);
    expect(order).toEqual(["one", "two"]);
  });

  it("is shared by several readers, and refused to a writer meanwhile", async () => {
    const lock = new FileLock(file);
    await lock.hold("shared", async () => {
      expect(await lock.tryHold("shared", async () => "read")).toBe("read");
      expect(await lock.tryHold("exclusive", async () => "write")).toBeNull();
    });
    expect(await lock.tryHold("exclusive", async () => "write")).toBe("write");
  });

  it("is free again when the work fails", async () => {
    const lock = new FileLock(file);
    await expect(lock.hold("exclusive", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await lock.tryHold("exclusive", async () => true)).toBe(true);
  });

  it("stops waiting when the signal fires, and leaves the lock as it is", async () => {
    const lock = new FileLock(file);
    await lock.hold("exclusive", async () => {
      const stop = new AbortController();
      const waiting = lock.hold("exclusive", async () => "never", stop.signal);
      stop.abort(new Error("enough"));
      await expect(waiting).rejects.toThrow("enough");
      expect(await lock.tryHold("exclusive", async () => true)).toBeNull();
    });
    expect(await lock.tryHold("exclusive", async () => true)).toBe(true);
  });

  it("is free again when its holder is killed", async () => {
    const module = new URL("../../src/images/file-lock.ts", import.meta.url).href;
    const script = join(folder, "holder.mjs");
    await writeFile(
      script,
      `import { FileLock } from ${JSON.stringify(module)};
       await new FileLock(${JSON.stringify(file)}).hold("exclusive", async () => {
         console.log("held");
         await new Promise((resolve) => setTimeout(resolve, 60_000));
       });`,
    );
    const holder = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    expect(await new FileLock(file).tryHold("exclusive", async () => true)).toBeNull();
    holder.kill("SIGKILL");
    expect(await new FileLock(file).hold("exclusive", async () => true)).toBe(true);
  });

  it("says when its folder is not there", async () => {
    await expect(new FileLock(join(folder, "none/lock")).hold("shared", async () => 1)).rejects.toThrow(
      "cannot be taken",
    );
  });
});
