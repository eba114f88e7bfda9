import { dlopen, ptr } from "bun:ffi";

const PR_SET_DUMPABLE = 4;
const O_CLOEXEC = 0o2000000;
const MADV_DONTNEED = 4;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_GETFL = 3;
const F_SETFL = 4;
const F_SETOWN = 8;
const O_NONBLOCK = 0o4000;
const O_ASYNC = 0o20000;
const TCXONC = 0x540a;
const TCOOFF = 0;
const TCOON = 1;

const libc = dlopen("libc.so.6", {
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "u64"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i64"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: "i32" },
  madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
}).symbols;

/** Closes /proc/PID/mem, environ and ptrace of this process to others of the same user: the capability token is in there. */
export function forbidInspection(): void {
  if (libc.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n) !== 0)
    throw new Error(
      "prctl(PR_SET_DUMPABLE, 0) failed: the token could be read from memory, so the harness does not start",
    );
}

/**
 * A real pipe, both ends close-on-exec. Bun's own "pipe" is a socket pair, which a program cannot open again as
 * /dev/stdout, as many images do.
 */
export function openPipe(): { readEnd: number; writeEnd: number } {
  const ends = new Int32Array(2);
  if (libc.pipe2(ptr(ends), O_CLOEXEC) !== 0)
    throw new Error("pipe2 failed: no file descriptor is left in the harness");
  const [readEnd = -1, writeEnd = -1] = ends;
  return { readEnd, writeEnd };
}

/** Stops the output of a terminal, or lets it go on: writers block. @param slave its slave side */
export function setTerminalFlow(slave: number, flows: boolean): void {
  libc.ioctl(slave, BigInt(TCXONC), BigInt(flows ? TCOON : TCOOFF));
}

/** Gives pages of a read-only file mapping back; the kernel maps them again when they are needed. */
export function dropPages({ start, end }: { start: bigint; end: bigint }): void {
  libc.madvise(start, end - start, MADV_DONTNEED);
}

/**
 * Makes a character device this process's own: never inherited, never blocking, and SIGIO whenever something about it
 * changes. Without a handler of SIGIO that signal ends the process.
 */
export function ownDevice(fd: number): void {
  const flags = BigInt(libc.fcntl(fd, F_GETFL, 0n) | O_NONBLOCK | O_ASYNC);
  const results = [
    libc.fcntl(fd, F_SETFD, BigInt(FD_CLOEXEC)),
    libc.fcntl(fd, F_SETFL, flags),
    libc.fcntl(fd, F_SETOWN, BigInt(process.pid)), // behind O_ASYNC: a terminal has an owner of its own then
  ];
  if (results.some((result) => result !== 0))
    throw new Error("fcntl failed: the channel to the host is no device that tells when it is ready");
}

/** @returns bytes read, 0 when nobody is at the other end, less when there is nothing now */
export const readNow = (fd: number, into: Uint8Array): number => libc.read(fd, into, BigInt(into.length));

/** @returns bytes written, less than 0 when the device takes none now */
export const writeNow = (fd: number, bytes: Uint8Array): number => libc.write(fd, bytes, BigInt(bytes.length));
