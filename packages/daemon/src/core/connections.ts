import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import type { ExecRequest } from "@aegis/protocol/exec";
import type { EndpointProtocol } from "@aegis/protocol/instance";
import { dialPort, either } from "./dial-port.ts";
import type { Knock } from "./dial-port.ts";
import type { ExecSession, Harness } from "./harness.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { OpenConnection } from "./open-connection.ts";

export interface RunningExec {
  execId: string;
  session: ExecSession;
  /** to be called when the session is over: until then the instance is not idle */
  release: () => void;
}

/** What goes on in one instance for somebody outside: connections to its ports and commands beside its workload. */
export class Connections {
  readonly #life: Lifecycle;
  readonly #harness: Harness;
  #count = 0;
  /** each by what ends it */
  readonly #open = new Set<() => void>();

  constructor(life: Lifecycle, harness: Harness) {
    this.#life = life;
    this.#harness = harness;
  }

  /** how many are open */
  get count(): number {
    return this.#count;
  }

  /** Counts as a connection until the returned function is called. */
  hold(): () => void {
    const release = this.#life.activity.hold();
    this.#count += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#count -= 1;
      release();
    };
  }

  /**
   * A stream to a port inside; wakes a paused instance and boots a stopped one. Over TCP it keeps the instance awake until
   * it closes, over HTTP only while something goes on.
   * @throws AegisError `wrong_state` when disabled or failed, `guest_unreachable` when nothing listens there
   */
  async open(port: number, protocol: EndpointProtocol, knock: Knock = {}): Promise<OpenConnection> {
    const release = this.hold();
    try {
      const stream = await this.#life.reach({
        reason: `connection to ${port}`,
        act: (session, gone) => dialPort(this.#harness, session, port, either(knock, gone)),
        undo: (dialled) => dialled.destroy(),
      });
      const connection = new OpenConnection(stream, protocol, this.#life.wakefulness);
      this.#track(stream);
      return connection;
    } finally {
      release();
    }
  }

  #track(stream: Duplex): void {
    this.#count += 1;
    const forget = this.#endsBy(() => stream.destroy());
    stream.once("close", () => {
      this.#count -= 1;
      forget();
    });
  }

  /**
   * Runs a command beside the workload. Wakes a paused instance, waits for one that starts.
   * @throws AegisError `wrong_state` when stopped, and what {@link Harness.exec} throws
   */
  async exec(request: ExecRequest, size = { cols: 80, rows: 24 }): Promise<RunningExec> {
    if (this.#life.state === "stopped" || this.#life.state === "failed") throw this.#life.wrongState("run a command");
    const release = this.hold();
    try {
      const execId = `exec-${randomUUID()}`;
      const header = {
        exec_id: execId,
        command: request.command,
        env: request.env ?? {},
        cwd: request.cwd ?? null,
        user: request.user ?? null,
        tty: request.tty === true ? size : null,
      };
      const session = await this.#life.reach({
        reason: "exec",
        act: ({ machine }, gone) => this.#harness.exec(machine, header, gone),
        undo: (begun) => begun.close(),
        mayBoot: false,
      });
      const forget = this.#endsBy(() => session.close());
      return {
        execId,
        session,
        release: () => {
          forget();
          release();
        },
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The machine is gone: ends what went on in it. */
  strand(): void {
    for (const end of this.#open) end();
  }

  /** @returns to be called when it has ended by itself */
  #endsBy(end: () => void): () => void {
    this.#open.add(end);
    return () => void this.#open.delete(end);
  }
}
