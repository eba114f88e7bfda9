import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { detectCgroupLayout, isHybrid } from "../../../../packages/daemon/src/drivers/linux/cgroup-layout.ts";
import type { RawCalls, RawReply, RawSetup } from "./raw-calls.ts";

const HOST = fileURLToPath(new URL("./raw-host.ts", import.meta.url));

/**
 * The runtime by hand, without Aegis. It runs in a process of its own, as aegisd does, in a mount namespace of its own:
 * its mounts go away with it, and crun finds no v2 control groups there on a host that has both kinds.
 */
export class RawRuntime implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (reply: RawReply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if ("error" in reply) waiting?.reject(new Error(reply.error));
      else waiting?.resolve(reply.result);
    });
    child.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the process beside the bench has ended"));
      this.#waiting.clear();
    });
  }

  static async open(setup: RawSetup): Promise<RawRuntime> {
    const layout = await detectCgroupLayout();
    const hidden = isHybrid(layout) ? (layout.v2 ?? "") : "";
    const script = 'if [ -n "$1" ]; then umount "$1"; fi; shift; exec "$@"';
    const node = [process.execPath, "--disable-warning=ExperimentalWarning", HOST];
    // detached: Ctrl-C is for the bench, which then closes this one in good order
    const child = spawn("unshare", ["-m", "sh", "-c", script, "bench-raw", hidden, ...node], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      detached: true,
    });
    await once(child, "spawn");
    const raw = new RawRuntime(child);
    await raw.call("open", setup);
    return raw;
  }

  async call<M extends keyof RawCalls>(
    method: M,
    params: Parameters<RawCalls[M]>[0],
  ): Promise<Awaited<ReturnType<RawCalls[M]>>> {
    const id = ++this.#calls;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, method, params }, (error) => error && waiting.reject(error));
    return (await waiting.promise) as Awaited<ReturnType<RawCalls[M]>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    await this.call("close", {});
    this.#child.disconnect();
    await ended;
  }
}
