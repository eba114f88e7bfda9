import { duplexPair, type Duplex } from "node:stream";
import { FirstLine } from "@aegis/protocol/first-line";
import { MAX_LINE_BYTES } from "@aegis/protocol/control";
import type { Machine } from "../../src/core/driver.ts";

/** What the taken-over harness does with a stream, once it has read the host's header. */
export type HostileServe = (stream: Duplex, header: { kind: string }) => void;

/** A machine whose harness belongs to somebody else; only dialling works. */
export function hostileMachine(serve: HostileServe): Machine {
  const unused = async (): Promise<never> => Promise.reject(new Error("not asked of this machine"));
  return {
    instanceId: "inst-hostile",
    boot: 1,
    exited: new Promise(() => undefined),
    dial: async () => hostileStream(serve),
    dialPort: async () => null,
    pause: unused,
    resume: unused,
    isPaused: async () => false,
    kill: async () => undefined,
    ranOutOfMemory: async () => false,
    remove: async () => undefined,
    stats: unused,
  };
}

export function hostileStream(serve: HostileServe): Duplex {
  const [host, guest] = duplexPair();
  const first = new FirstLine(MAX_LINE_BYTES);
  guest.on("error", () => undefined);
  guest.on("data", function take(chunk: Uint8Array) {
    const found = first.push(chunk);
    if (found === null) return;
    guest.off("data", take).resume();
    serve(guest, JSON.parse(found.line) as { kind: string });
  });
  return host;
}
