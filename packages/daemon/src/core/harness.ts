import type { Duplex } from "node:stream";
import type {
  ActivityReport,
  ExecHeader,
  HarnessNotifications,
  HarnessState,
  ProcessExit,
  RunParams,
} from "@aegis/protocol/control";
import type { Frame, FrameType } from "@aegis/protocol/exec-frame";
import type { Knock } from "./dial-port.ts";
import type { Machine } from "./driver.ts";

/** What the harness of one machine tells the daemon. */
export interface HarnessObserver {
  /** @returns a promise when no more should come before it has settled */
  log(line: HarnessNotifications["log"]): void | Promise<void>;
  logDropped(lines: number): void;
  activity(report: ActivityReport): void;
  processExited(exit: ProcessExit): void;
  /** somebody inside connected to the Guest API or to a binding; `accept` opens the host's half of that stream */
  streamOpened(request: HarnessNotifications["stream.open"], reverse: ReverseStream): void;
}

export interface ReverseStream {
  accept(): Promise<Duplex>;
  refuse(error: string): void;
}

/** The control stream to one harness. */
export interface HarnessLink {
  /** what the harness already did before this link was made */
  readonly initial: HarnessState;
  /** settles when the stream has ended, for whatever reason; never rejects */
  readonly closed: Promise<void>;
  run(params: RunParams): Promise<{ pid: number }>;
  renewToken(token: string): Promise<void>;
  signal(signal: string): Promise<void>;
  /** TERM, then KILL after `graceMs`; null when nothing ran */
  shutdown(graceMs: number): Promise<ProcessExit | null>;
  /** log lines up to this one are on disk, so the harness need not keep them */
  logSaved(seq: number): void;
  close(): void;
}

/** A process inside, besides the workload. */
export interface ExecSession {
  /** stdout, stderr and, last, exit */
  readonly frames: AsyncIterable<Frame>;
  /** resolves when the stream can take more */
  send(type: FrameType, payload?: Uint8Array): Promise<void>;
  /** ends the process if it still runs */
  close(): void;
}

/** A request to a server inside. */
export interface GuestRequest {
  port: number;
  path: string;
  method: "GET" | "POST" | "PUT";
  /** JSON */
  body: string | null;
  /** what is kept of the answer's body */
  maxBytes: number;
}

export interface GuestResponse {
  status: number;
  body: string;
}

/** How the daemon talks to harnesses, whatever the backend. */
export interface Harness {
  connect(machine: Machine, observer: HarnessObserver, signal?: AbortSignal): Promise<HarnessLink>;
  /** @throws AegisError `command_not_found`, `invalid_path`, `user_not_available`, `guest_unreachable` */
  exec(machine: Machine, header: ExecHeader, signal?: AbortSignal): Promise<ExecSession>;
  /**
   * Straight to the port where the machine has such a way and the port is open on all addresses, else through the harness.
   * @returns null when nothing listens on the port inside: then nobody has got the early bytes
   */
  openPort(machine: Machine, port: number, knock?: Knock): Promise<Duplex | null>;
  /** @returns null when nothing listens on the port inside */
  request(machine: Machine, request: GuestRequest, signal: AbortSignal): Promise<GuestResponse | null>;
}
