import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { RelayOptions } from "../../../kits/claw/src/relay/options.ts";

const CHILD = fileURLToPath(new URL("../../../kits/claw/test/relay/relay-child.ts", import.meta.url));

/** A relay in a process of its own, to be killed and frozen. */
export class RelayProcess {
  readonly #options: Omit<RelayOptions, "log" | "notice">;
  readonly lines: string[] = [];
  #child: ChildProcess | null = null;

  constructor(options: Omit<RelayOptions, "log" | "notice">) {
    this.#options = options;
  }

  /** @throws when it ends instead of getting ready */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", CHILD]);
    this.#child = child;
    child.stderr.on("data", (chunk: Buffer) => this.lines.push(...chunk.toString().trimEnd().split("\n")));
    child.stdin.end(JSON.stringify(this.#options));
    const ready = await Promise.race([once(child.stdout, "data"), once(child, "exit").then(() => null)]);
    if (ready === null) throw new Error(`the relay ended: ${this.lines.slice(-5).join("\n")}`);
  }

  async kill9(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }
}
