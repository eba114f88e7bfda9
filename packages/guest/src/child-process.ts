import { closeSync, writeFileSync } from "node:fs";
import type { ReadableStreamDefaultReader } from "node:stream/web";
import type { ProcessExit } from "@aegis/protocol/control";
import { messageOf } from "@aegis/protocol/errors";
import { errnoOf, GuestError } from "./guest-error.ts";
import { openPipe } from "./libc.ts";
import { processExit } from "./process-exit.ts";

/** The kernel ends what has this score before it ends the harness. */
const OOM_SCORE = "500";

/** What to start; `file` is resolved, everything is checked. */
export interface ChildSpec {
  command: string[];
  file: string;
  cwd: string;
  env: Record<string, string>;
}

export interface PipedChild {
  pid: number;
  stdin: Bun.FileSink;
  stdout: ReadableStreamDefaultReader<Uint8Array>;
  stderr: ReadableStreamDefaultReader<Uint8Array>;
  exited: Promise<ProcessExit>;
}

export interface TerminalChild {
  pid: number;
  terminal: Bun.Terminal;
  exited: Promise<ProcessExit>;
}

/**
 * Starts a process in a session of its own, with three real pipes.
 * @throws GuestError `command_not_executable`, `spawn_failed`
 */
export function spawnPiped(spec: ChildSpec): PipedChild {
  return withPipes((pipe) => {
    const [input, out, err] = [pipe(), pipe(), pipe()];
    const child = spawn(spec, { stdin: input.readEnd, stdout: out.writeEnd, stderr: err.writeEnd });
    return {
      pid: child.pid,
      exited: child.exited,
      stdin: Bun.file(input.writeEnd).writer(),
      stdout: readerOf(out.readEnd),
      stderr: readerOf(err.readEnd),
    };
  });
}

/**
 * Like {@link spawnPiped}, with /dev/null as input.
 * @throws GuestError `command_not_executable`, `spawn_failed`
 */
export function spawnWithoutInput(spec: ChildSpec): Omit<PipedChild, "stdin"> {
  return withPipes((pipe) => {
    const [out, err] = [pipe(), pipe()];
    const child = spawn(spec, { stdin: "ignore", stdout: out.writeEnd, stderr: err.writeEnd });
    return {
      pid: child.pid,
      exited: child.exited,
      stdout: readerOf(out.readEnd),
      stderr: readerOf(err.readEnd),
    };
  });
}

/** Duplicates the descriptor at once; a stream alone would do so with the first read, when it is closed. */
const readerOf = (fd: number) => Bun.file(fd).stream().getReader();

function withPipes<T>(use: (pipe: typeof openPipe) => T): T {
  const opened: number[] = [];
  const pipe = () => {
    const ends = openPipe();
    opened.push(ends.readEnd, ends.writeEnd);
    return ends;
  };
  try {
    return use(pipe);
  } finally {
    for (const fd of opened) closeSync(fd); // the child and the streams hold duplicates
  }
}

/**
 * Starts a process as the leader of a new terminal.
 * @throws GuestError `command_not_executable`, `spawn_failed`
 */
export function spawnInTerminal(spec: ChildSpec, terminal: Bun.TerminalOptions): TerminalChild {
  const child = spawn(spec, { terminal });
  if (child.terminal === undefined) throw new GuestError("spawn_failed", "No terminal could be made in the instance.");
  return { pid: child.pid, exited: child.exited, terminal: child.terminal };
}

/** Signals the process's whole group; false when nobody is left in it. */
export function signalGroup(pid: number, signal: number): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

type Stdio = { stdin: number | "ignore"; stdout: number; stderr: number } | { terminal: Bun.TerminalOptions };

function spawn(spec: ChildSpec, stdio: Stdio) {
  const [argv0 = spec.file, ...args] = spec.command;
  try {
    const child = Bun.spawn([spec.file, ...args], { ...stdio, argv0, cwd: spec.cwd, env: spec.env, detached: true });
    offerToOomKiller(child.pid);
    const exited = child.exited.then((code) =>
      processExit(code, child.signalCode === null ? null : String(child.signalCode)),
    );
    return { pid: child.pid, exited, terminal: child.terminal };
  } catch (thrown) {
    throw spawnError(spec.file, thrown);
  }
}

function spawnError(file: string, thrown: unknown): GuestError {
  switch (errnoOf(thrown)) {
    case "ENOENT":
      return new GuestError(
        "command_not_executable",
        `${file} cannot be executed: the interpreter or loader that it names is not in the instance.`,
      );
    case "ENOEXEC":
      return new GuestError(
        "command_not_executable",
        `${file} cannot be executed: it is neither a program for this machine nor a script with a #! line.`,
      );
    case "E2BIG":
      return new GuestError(
        "command_not_executable",
        `${file} cannot be executed: arguments and environment are too long for the kernel.`,
      );
    case "EAGAIN":
    case "ENOMEM":
      return new GuestError(
        "spawn_failed",
        `${file} cannot be started: the instance is at its limit of processes or memory.`,
      );
    default:
      return new GuestError("spawn_failed", `${file} cannot be started: ${messageOf(thrown)}.`);
  }
}

function offerToOomKiller(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, OOM_SCORE);
  } catch {
    return; // it has ended already, or the kernel forbids it: then all have the same score
  }
}
