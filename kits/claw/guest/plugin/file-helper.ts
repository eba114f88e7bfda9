import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import { runInChild } from "./child-exec.ts";
import { CUT_OFF, childSocket, framesOf, sendInput } from "./child-socket.ts";
import { type FileAnswer, FileAnswers, type FileRequest, fileRequest, MOST_BYTES } from "./file-request.ts";

const PROGRAM = fileURLToPath(new URL("file-helper.py", import.meta.url));
/** A tool asks several times within milliseconds; a sandbox that is left alone is to fall asleep. */
const IDLE_MS = 2000;
/** One that was paused by request meanwhile hears nothing until it is woken, which an exec does. */
const SILENCE_MS = 300;
const PATIENCE_MS = 20_000;

interface Waiting {
  resolve: (answer: FileAnswer) => void;
  reject: (reason: unknown) => void;
}

/** Processes in sandboxes that look at files, read and write them: one for each sandbox, from the first request to two quiet seconds. */
export class FileHelpers {
  readonly #guestApi: string;
  readonly #root: string;
  readonly #helpers = new Map<string, FileHelper>();
  #program: string | null = null;

  /**
   * @param guestApi `AEGIS_GUEST_API`
   * @param root the folder that nothing leads out of
   */
  constructor(guestApi: string, root: string) {
    this.#guestApi = guestApi;
    this.#root = root;
  }

  /**
   * @param id of the sandbox
   * @throws GuestApiError when the host refuses; Error when it is cut off or silent; the signal's reason. What was asked for may be done then.
   */
  ask(id: string, request: FileRequest, signal?: AbortSignal): Promise<FileAnswer> {
    return (this.#helpers.get(id) ?? this.#start(id)).ask(request, signal);
  }

  #start(id: string): FileHelper {
    this.#program ??= readFileSync(PROGRAM, "utf8");
    const command = ["python3", "-ISc", this.#program, this.#root, String(MOST_BYTES)];
    const helper = new FileHelper(this.#guestApi, id, command, () => {
      if (this.#helpers.get(id) === helper) this.#helpers.delete(id);
    });
    this.#helpers.set(id, helper);
    return helper;
  }
}

class FileHelper {
  readonly #socket: WebSocket;
  readonly #started: Promise<void>;
  readonly #waiting = new Map<string, Waiting>();
  readonly #wake: () => void;
  readonly #onEnd: () => void;
  #asked = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(base: string, id: string, command: string[], onEnd: () => void) {
    this.#wake = () => void runInChild(base, id, { command: ["true"], maxBytes: 1024 }).catch(() => undefined);
    this.#onEnd = onEnd;
    this.#socket = childSocket(base, id);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#started = promise;
    this.#socket.addEventListener("open", () => {
      this.#socket.send(JSON.stringify({ command }));
      resolve();
    });
    this.#listen();
  }

  async ask(request: FileRequest, signal?: AbortSignal): Promise<FileAnswer> {
    signal?.throwIfAborted();
    clearTimeout(this.#idle);
    const number = String(++this.#asked);
    const { promise, resolve, reject } = Promise.withResolvers<FileAnswer>();
    this.#waiting.set(number, { resolve, reject });
    void this.#started.then(() => {
      if (this.#waiting.has(number)) sendInput(this.#socket, fileRequest(number, request));
    });
    const abort = () => reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const silence = setTimeout(this.#wake, SILENCE_MS);
    const patience = setTimeout(() => this.#end(new Error("the sandbox does not answer")), PATIENCE_MS);
    try {
      return await promise;
    } finally {
      clearTimeout(silence);
      clearTimeout(patience);
      signal?.removeEventListener("abort", abort);
      this.#waiting.delete(number);
      if (this.#waiting.size === 0) this.#idle = setTimeout(() => this.#end(new Error(CUT_OFF)), IDLE_MS).unref();
    }
  }

  #listen(): void {
    const decoder = new FrameDecoder();
    const answers = new FileAnswers();
    this.#socket.addEventListener("message", ({ data }) => {
      try {
        for (const { type, payload } of framesOf(decoder, data)) {
          if (type === FrameType.stdout)
            answers.push(payload).forEach(({ number, ...answer }) => this.#waiting.get(number)?.resolve(answer));
          if (type === FrameType.exit) this.#end(new Error(CUT_OFF));
        }
      } catch (error) {
        this.#end(error);
      }
    });
    this.#socket.addEventListener("close", () => this.#end(new Error(CUT_OFF)));
  }

  /** Ends the process in the sandbox too. */
  #end(reason: unknown): void {
    clearTimeout(this.#idle);
    this.#onEnd();
    this.#socket.close();
    for (const { reject } of this.#waiting.values()) reject(reason);
  }
}
