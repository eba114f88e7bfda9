import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { NODE, ROOT } from "./project.mjs";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];
const SWEEP = join(ROOT, "tests/e2e/sweep.ts");
/** One Ctrl-C can arrive more than once: from the terminal, and from npm and sudo, which pass it on. */
const SAME_SIGNAL_MS = 1000;

/**
 * One run of the tests, and its folder. Tests note there what they have on this host (tests/e2e/run-notes.ts) until they
 * have taken it away; what is noted at the end, when a signal has ended them for example, is taken away then.
 */
export class TestRun {
  folder = mkdtempSync(join(tmpdir(), "aegis-tests-"));
  #signal = null;
  #signalledAt = 0;
  #sweeper = null;
  #handlers = SIGNALS.map((name) => [name, () => this.#onSignal(name)]);

  constructor() {
    // instances may pass, and find nothing
    chmodSync(this.folder, 0o711);
    for (const [name, handler] of this.#handlers) process.on(name, handler);
    // who read what we say may go first
    process.stdout.on("error", () => undefined);
  }

  /** for the tests; what they make for a moment goes away with the folder */
  get env() {
    return { AEGIS_TEST_RUN: this.folder, TMPDIR: this.folder };
  }

  /** Whether what ended with an exit code, or this run, was ended by a signal. */
  wasInterrupted(code) {
    return this.#signal !== null || SIGNALS.some((name) => code === 128 + constants.signals[name]);
  }

  /** Takes away what was noted, and the folder when nothing is left. @returns whether nothing is */
  async end() {
    try {
      const isGone = await this.#swept();
      if (isGone) rmSync(this.folder, { recursive: true, force: true });
      return isGone;
    } finally {
      for (const [name, handler] of this.#handlers) process.off(name, handler);
    }
  }

  async #swept() {
    if (!readdirSync(this.folder).some((name) => name.endsWith(".note.json"))) return true;
    process.stdout.write("\ntaking away what the tests have left on this host ...\n");
    const command = ["--disable-warning=ExperimentalWarning", SWEEP, this.folder];
    // in a session of its own: a terminal's Ctrl-C is for us to pass on
    this.#sweeper = spawn(NODE, command, { stdio: ["ignore", "inherit", "inherit"], detached: true });
    const code = await new Promise((resolve) => this.#sweeper.on("error", resolve).on("exit", resolve));
    if (code === 0) return true;
    process.stdout.write(`Not all of it is gone. To try again: ${[NODE, ...command].join(" ")}\n`);
    return false;
  }

  #onSignal(name) {
    const now = performance.now();
    const isSame = this.#signal !== null && now - this.#signalledAt < SAME_SIGNAL_MS;
    this.#signal ??= name;
    this.#signalledAt = now;
    if (!isSame) this.#sweeper?.kill("SIGKILL");
  }
}
