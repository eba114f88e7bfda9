import { once } from "node:events";
import net from "node:net";
import { createInterface } from "node:readline";
import { AegisError } from "@aegis/protocol/errors";

export interface QmpEvent {
  event: string;
  data?: { status?: string };
}

type Reply = { return: unknown } | { error: { class: string; desc: string } };

/** What QEMU does stands still under a host that swaps or is out of memory; then it is as good as gone. */
const ANSWER_MS = 30_000;

/**
 * Speaks QEMU's machine protocol (docs/interop/qmp-spec.txt of QEMU). QEMU serves one connection at a time.
 */
export class QmpClient {
  readonly #socket: net.Socket;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #onEvent = new Set<(event: QmpEvent) => void>();
  #calls = 0;
  #ended = false;

  /**
   * @param answerMs how long QEMU may take for its first answer
   * @throws AegisError `driver_failed` when no QEMU answers there
   */
  static async connect(path: string, answerMs = ANSWER_MS): Promise<QmpClient> {
    const socket = net.connect({ path });
    try {
      await once(socket, "connect");
    } catch (error) {
      socket.destroy();
      throw gone(error);
    }
    const client = new QmpClient(socket);
    await client.execute("qmp_capabilities", {}, answerMs);
    return client;
  }

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("error", () => undefined);
    socket.on("close", () => this.#end());
    const lines = createInterface({ input: socket });
    lines.on("error", () => undefined);
    lines.on("line", (line) => this.#take(line));
  }

  /**
   * Whoever does not answer within `answerMs` is gone for good.
   * @throws AegisError `driver_failed` with what QEMU said, or that it is gone
   */
  async execute(command: string, args: object = {}, answerMs = ANSWER_MS): Promise<unknown> {
    if (this.#ended) throw gone();
    const id = ++this.#calls;
    const { promise, resolve } = Promise.withResolvers<Reply>();
    this.#waiting.set(id, resolve);
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    const timer = setTimeout(() => this.#socket.destroy(), answerMs);
    const reply = await promise.finally(() => clearTimeout(timer));
    if ("return" in reply) return reply.return;
    throw new AegisError("driver_failed", `The virtual machine refused ${command}: ${reply.error.desc}.`);
  }

  /**
   * Waits until a migration has ended; it has to send events, and to be begun behind this call.
   * @returns the promise is its end @throws AegisError `driver_failed` when it failed
   */
  migrationEnd(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = ({ event, data }: QmpEvent): void => {
      if (event === "MIGRATION" && data?.status === "completed") resolve();
      if (event === "GONE" || (event === "MIGRATION" && (data?.status === "failed" || data?.status === "cancelled")))
        reject(new AegisError("driver_failed", "The virtual machine's memory could not be moved: QEMU gave up."));
    };
    this.#onEvent.add(look);
    const end = promise.finally(() => this.#onEvent.delete(look));
    end.catch(() => undefined); // whoever waits for it may have given up before
    return end;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(line: string): void {
    const message = JSON.parse(line) as ({ id: number } & Reply) | ({ id?: undefined } & Partial<QmpEvent>);
    if (message.id === undefined) return this.#tell(message);
    this.#waiting.get(message.id)?.(message);
    this.#waiting.delete(message.id);
  }

  /** The greeting is no event. */
  #tell({ event, data }: Partial<QmpEvent>): void {
    if (event === undefined) return;
    for (const look of this.#onEvent) look({ event, ...(data === undefined ? {} : { data }) });
  }

  #end(): void {
    this.#ended = true;
    this.#tell({ event: "GONE" });
    for (const settle of this.#waiting.values()) settle({ error: { class: "Gone", desc: "it is gone" } });
    this.#waiting.clear();
  }
}

const gone = (cause?: unknown): AegisError =>
  new AegisError("driver_failed", "The virtual machine does not answer: it is gone. Start the instance again.", {
    cause,
  });
