import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { socketPathOf } from "@aegis/sdk/aegis-home";
import { AegisClient } from "@aegis/sdk/client";
import { runningDaemon, startDaemon, stopDaemon } from "@aegis/sdk/daemon-process";
import type { CreateInstance } from "@aegis/protocol/instance";
import { makeBusyboxRootfs } from "../busybox-image.ts";
import { writeTestImage } from "../test-image.ts";

const IMAGE = "localhost/bench:1";
export const PORT = 8080;
export const READY = "up";
/** says that it is up, then serves one small page */
export const COMMAND = ["/bin/sh", "-c", `echo ${READY}; exec httpd -f -p ${PORT} -h /www`];
export const MEMORY_MB = 128;

/** aegisd as people run it, in a home of its own with one small image. Disposed of, nothing of it is left. */
export class BenchDaemon implements AsyncDisposable {
  /** scratch space that goes away with the daemon */
  readonly folder = mkdtempSync(join(tmpdir(), "aegis-bench-"));
  readonly #home = join(this.folder, "home");
  readonly client = new AegisClient({ socketPath: socketPathOf(this.#home) });
  readonly image = IMAGE;
  readonly #env: Readonly<Record<string, string>>;
  #pid: number | null = null;

  /** @param env settings of the daemon that differ from its defaults */
  constructor(env: Readonly<Record<string, string>> = {}) {
    this.#env = env;
  }

  /** @throws AegisError */
  async start(): Promise<void> {
    chmodSync(this.folder, 0o711);
    this.#pid = (await startDaemon(this.#place())).pid;
    await this.#importImage();
  }

  get pid(): number {
    if (this.#pid === null) throw new Error("the daemon was not started");
    return this.#pid;
  }

  /** Of the daemon's process, as the kernel has it: Node's options, then the bundle or the sources. */
  get commandLine(): string {
    return readFileSync(`/proc/${this.pid}/cmdline`, "utf8").split("\0").slice(1).join(" ").trim();
  }

  /** The image as aegisd has unpacked it. */
  get rootfs(): string {
    const unpacked = join(this.#home, "images/unpacked");
    const [image] = readdirSync(unpacked);
    if (image === undefined) throw new Error("the image is not unpacked");
    return join(unpacked, image, "rootfs");
  }

  /** Never idle by itself: what pauses an instance here is the bench. */
  spec(over: Partial<CreateInstance> = {}): CreateInstance {
    return { image_ref: IMAGE, command: COMMAND, memory_mb: MEMORY_MB, pause_after_idle_s: null, ...over };
  }

  async #importImage(): Promise<void> {
    const layout = join(this.folder, "layout");
    mkdirSync(layout);
    await writeTestImage(layout, [
      {
        fill: async (folder) => {
          makeBusyboxRootfs(folder, { mapped: false, files: { "www/index.html": "<h1>it works</h1>\n" } });
        },
      },
    ]);
    for await (const step of this.client.images.pull({ ref: IMAGE, layout })) void step;
    rmSync(layout, { recursive: true });
  }

  #place() {
    return { home: this.#home, env: { ...process.env, ...this.#env, AEGIS_HOME: this.#home, AEGIS_ROUTER_PORT: "0" } };
  }

  /** A daemon that died has left its machines behind: another one takes them up, to end them. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#pid !== null) {
      if ((await runningDaemon(this.#home)) === null) await startDaemon(this.#place());
      await stopDaemon(this.#home, { stopInstances: true });
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
