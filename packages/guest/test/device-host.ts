import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { duplexOf } from "@aegis/protocol/mux/duplex-handlers";
import { MuxHostEnd } from "@aegis/protocol/mux/host-end";
import { NONCE_BYTES } from "@aegis/protocol/mux/resync";

const PSEUDO_PORT = fileURLToPath(new URL("pseudo-port.ts", import.meta.url));

/** A character device for a harness, and its host's end. */
export class DeviceHost {
  readonly #port: ChildProcess;
  readonly #path: string;
  readonly #device: string;
  #socket: Socket | null = null;
  #end: MuxHostEnd | null = null;

  private constructor(port: ChildProcess, path: string, device: string) {
    this.#port = port;
    this.#path = path;
    this.#device = device;
  }

  static async start(folder: string, bun: string): Promise<DeviceHost> {
    const path = join(folder, "port.sock");
    const port = spawn(bun, ["run", PSEUDO_PORT, path], { stdio: ["pipe", "pipe", "inherit"] });
    if (port.stdout === null) throw new Error("no output");
    const [device] = await once(createInterface(port.stdout), "line");
    return new DeviceHost(port, path, String(device));
  }

  /** @param use gets the device's descriptor for as long as it takes */
  lend<T>(use: (fd: number) => T): T {
    const fd = openSync(this.#device, constants.O_RDWR | constants.O_NOCTTY);
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }

  dial(): Duplex {
    const stream = this.#connected().open();
    if (stream === null) throw new Error("no stream can be opened");
    return duplexOf(stream, (handlers) => new Duplex(handlers));
  }

  /** Goes away as a daemon does that is killed; the next {@link dial} is another one's. */
  kill(): void {
    this.#end?.close(new Error("killed"));
    this.#socket?.destroy();
    this.#end = null;
  }

  async stop(): Promise<void> {
    this.kill();
    this.#port.stdin?.end();
    await once(this.#port, "exit");
  }

  #connected(): MuxHostEnd {
    if (this.#end !== null) return this.#end;
    const socket = connect(this.#path);
    let isFull = false;
    const write = () => {
      for (let bytes = end.peek(); bytes !== null && !isFull && this.#end === end; bytes = end.peek()) {
        isFull = !socket.write(bytes);
        end.took(bytes.length);
      }
    };
    const end = new MuxHostEnd(randomBytes(NONCE_BYTES), () => queueMicrotask(write));
    socket.on("data", (chunk) => end.receive(chunk)).on("error", () => socket.destroy());
    socket.on("drain", () => {
      isFull = false;
      write();
    });
    this.#socket = socket;
    this.#end = end;
    return end;
  }
}
