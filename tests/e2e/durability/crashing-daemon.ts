import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { runningDaemon } from "../../../packages/sdk/src/daemon-process.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BIN = join(ROOT, "node_modules/.bin");
/** the bundle lies elsewhere */
const BUILT = { AEGIS_GUEST_DIR: join(ROOT, "dist/guest"), AEGIS_VM_DIR: join(ROOT, "dist/vm") };
const POLL_MS = 5;

/** The daemon in one file, as it is delivered: it starts in a fraction of the time that its sources take. */
export function bundleDaemon(): { file: string; remove: () => void } {
  const folder = mkdtempSync("/tmp/aegis-bundle-");
  const file = join(folder, "aegisd.mjs");
  for (const [entry, outfile] of [
    ["packages/daemon/src/main.ts", file],
    ["packages/daemon/src/drivers/microvm/fill-memory.ts", join(folder, "fill-memory.mjs")],
  ] as const)
    execFileSync(join(BIN, "bun"), ["build", "--target", "node", "--format", "esm", entry, "--outfile", outfile], {
      cwd: ROOT,
      stdio: "pipe",
    });
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export interface DaemonCommand {
  home: string;
  env: Record<string, string>;
  /** {@link bundleDaemon} */
  bundle: string;
  /** file for what it says */
  log: string;
}

/** One process of the daemon, as a child of ours: its end is an event. */
export class CrashingDaemon {
  readonly #home: string;
  readonly #child: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly #log: string;

  constructor({ home, env, bundle, log }: DaemonCommand) {
    const fd = openSync(log, "a");
    this.#home = home;
    this.#log = log;
    this.#child = spawn(join(BIN, "node"), ["--disable-warning=ExperimentalWarning", bundle], {
      cwd: "/",
      env: { ...env, AEGIS_HOME: home, ...BUILT, HOME: "/root" },
      stdio: ["ignore", fd, fd],
    });
    closeSync(fd);
    this.exited = once(this.#child, "exit");
  }

  /** Resolves when it answers. @throws when it ends before */
  async ready(): Promise<void> {
    while ((await runningDaemon(this.#home).catch(() => null))?.pid !== this.#child.pid) {
      if (this.ended)
        throw new Error(`the daemon ended before it was ready: ${readFileSync(this.#log, "utf8").slice(-1500)}`);
      await delay(POLL_MS);
    }
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async kill9(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}
