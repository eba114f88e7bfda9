/**
 * A character device whose other end is a unix socket, as QEMU makes of a serial port: `bun pseudo-port.ts SOCKET`. It
 * prints the path of the device, which is a terminal in raw mode. One host at a time.
 */
import { CString, dlopen, ptr } from "bun:ffi";
import { createServer, type Socket } from "node:net";
import { CharacterDevice } from "../src/character-device.ts";

const O_RDWR = 2;
const O_NOCTTY = 0o400;
/** more than a struct termios has */
const TERMIOS_BYTES = 256;

const libc = dlopen("libc.so.6", {
  posix_openpt: { args: ["i32"], returns: "i32" },
  grantpt: { args: ["i32"], returns: "i32" },
  unlockpt: { args: ["i32"], returns: "i32" },
  ptsname: { args: ["i32"], returns: "ptr" },
  open: { args: ["ptr", "i32"], returns: "i32" },
  tcgetattr: { args: ["i32", "ptr"], returns: "i32" },
  cfmakeraw: { args: ["ptr"], returns: "void" },
  tcsetattr: { args: ["i32", "i32", "ptr"], returns: "i32" },
}).symbols;

function openTerminal(): { master: number; path: string } {
  const master = libc.posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || libc.grantpt(master) !== 0 || libc.unlockpt(master) !== 0) throw new Error("no terminal to be had");
  const name = libc.ptsname(master);
  if (name === null) throw new Error("a terminal without a name");
  const path = new CString(name);
  const slave = libc.open(ptr(Buffer.from(`${path}\0`)), O_RDWR | O_NOCTTY); // stays open, so that the device does
  const settings = new Uint8Array(TERMIOS_BYTES);
  libc.tcgetattr(slave, ptr(settings));
  libc.cfmakeraw(ptr(settings));
  if (libc.tcsetattr(slave, 0, ptr(settings)) !== 0) throw new Error("the terminal cannot be made raw");
  return { master, path };
}

const { master, path } = openTerminal();
let host: Socket | null = null;
let toGuest = Buffer.alloc(0);

const device = new CharacterDevice(master, {
  receive: (chunk) => void host?.write(chunk),
  hostGone: () => undefined,
  peek: () => (toGuest.length === 0 ? null : toGuest),
  took(bytes) {
    toGuest = toGuest.subarray(bytes);
    if (toGuest.length === 0) host?.resume();
  },
});

const server = createServer((socket) => {
  host?.destroy();
  host = socket;
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    toGuest = Buffer.concat([toGuest, chunk]);
    socket.pause();
    device.wake();
  });
});
device.start();
server.listen(process.argv[2], () => process.stdout.write(`${path}\n`));
process.stdin.on("end", () => process.exit(0)).resume();
