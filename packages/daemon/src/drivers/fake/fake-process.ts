import type { ProcessExit } from "@aegis/protocol/control";

/** Where a scripted process writes, and what it may open. */
export interface FakeProcessHost {
  write(stream: "stdout" | "stderr", text: string): void;
  /** the process listens on this port of its machine's loopback until it ends */
  listen(port: number, service: FakeService): void;
}

/** What listens: an HTTP server with one fixed answer, or a TCP echo. */
export type FakeService = "http" | "echo";

export interface FakeProcessSpec {
  command: readonly string[];
  env: Readonly<Record<string, string>>;
}

const SIGNAL_NUMBERS: Record<string, number> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGUSR1: 10, SIGTERM: 15 };

/** Commands that a fake machine knows, and what they do. */
export const fakeCommands = [
  "true",
  "false",
  "exit",
  "echo",
  "sleep",
  "cat",
  "env",
  "serve",
  "echo-server",
  "stubborn",
];

let nextPid = 100;

/**
 * A process that exists only as a script: `true`, `false`, `exit N`, `echo TEXT...`, `sleep SECONDS`, `cat` (input to
 * output), `env NAME`, `serve PORT` (HTTP), `echo-server PORT` (TCP), `stubborn` (ends on KILL alone).
 */
export class FakeProcess {
  readonly pid = nextPid++;
  readonly exited: Promise<ProcessExit>;
  readonly #host: FakeProcessHost;
  readonly #stubborn: boolean;
  readonly #settle: (exit: ProcessExit) => void;
  readonly #readsInput: boolean;
  #timer: NodeJS.Timeout | null = null;

  constructor(spec: FakeProcessSpec, host: FakeProcessHost) {
    const { promise, resolve } = Promise.withResolvers<ProcessExit>();
    const [name = ""] = spec.command;
    this.exited = promise;
    this.#settle = resolve;
    this.#host = host;
    this.#stubborn = name === "stubborn";
    this.#readsInput = name === "cat";
    this.#start(name, spec.command.slice(1), spec.env);
  }

  #start(name: string, args: readonly string[], env: Readonly<Record<string, string>>): void {
    const [first = ""] = args;
    switch (name) {
      case "false":
        return this.#end(1);
      case "exit":
        return this.#end(Number(first));
      case "echo":
        this.#host.write("stdout", `${args.join(" ")}\n`);
        return this.#end(0);
      case "env":
        this.#host.write("stdout", `${env[first] ?? ""}\n`);
        return this.#end(0);
      case "sleep":
        this.#timer = setTimeout(() => this.#end(0), Number(first) * 1000).unref();
        return;
      case "serve":
        return this.#host.listen(Number(first), "http");
      case "echo-server":
        return this.#host.listen(Number(first), "echo");
      case "cat":
      case "stubborn":
        return;
      default:
        return this.#end(0);
    }
  }

  input(text: string): void {
    if (this.#readsInput) this.#host.write("stdout", text);
  }

  inputEnd(): void {
    if (this.#readsInput) this.#end(0);
  }

  signal(name: string): void {
    const number = SIGNAL_NUMBERS[name];
    if (number === undefined || (this.#stubborn && name !== "SIGKILL")) return;
    this.#stop({ code: 128 + number, signal: name });
  }

  #end(code: number): void {
    this.#stop({ code, signal: null });
  }

  #stop(exit: ProcessExit): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#settle(exit);
  }
}
