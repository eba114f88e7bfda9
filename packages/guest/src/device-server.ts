import { Duplex } from "node:stream";
import { duplexOf } from "@aegis/protocol/mux/duplex-handlers";
import { MuxGuestEnd } from "@aegis/protocol/mux/guest-end";
import { CharacterDevice } from "./character-device.ts";
import { serveStream, type StreamHandlers } from "./stream-server.ts";

/** Takes the host's streams off a character device that carries all of them, as the serial port of a virtual machine does. */
export function serveDevice(fd: number, handlers: StreamHandlers): void {
  const end = new MuxGuestEnd({
    opened: (stream) =>
      serveStream(
        duplexOf(stream, (options) => new Duplex(options)),
        handlers,
      ),
    wake: () => device.wake(),
  });
  const device = new CharacterDevice(fd, end);
  device.start();
}
