/**
 * What crosses between the daemon and the harness in an instance. The host dials; each stream starts with one JSON
 * header line from the host, which the harness answers with one JSON line, then the stream belongs to its kind.
 */

/** First line of a stream, host to harness. */
export type StreamHeader =
  | { kind: "control" }
  | { kind: "port"; port: number }
  | ({ kind: "exec" } & ExecHeader)
  /** the other half of a stream that the harness asked for with `stream.open` */
  | { kind: "accept"; stream_id: string };

export interface ExecHeader {
  exec_id: string;
  command: string[];
  env: Record<string, string>;
  cwd: string | null;
  user: string | null;
  /** null: no terminal */
  tty: { cols: number; rows: number } | null;
}

/** The harness's answer, one line. After `ok: false` it closes the stream. */
export type StreamReply =
  | { ok: true; harness?: HarnessState; pid?: number }
  | { ok: false; code: StreamErrorCode; error: string };

export type StreamErrorCode =
  | "connection_refused"
  | "command_not_found"
  | "command_not_executable"
  | "invalid_cwd"
  | "user_not_available"
  | "unknown_stream"
  | "invalid_header"
  | "spawn_failed";

/** What the harness already knows when a host (again) opens the control stream. */
export type HarnessState =
  | { state: "idle" }
  | { state: "running"; pid: number }
  | { state: "exited"; exit: ProcessExit };

/** `code` is 128 + signal number when a signal ended the process. */
export interface ProcessExit {
  code: number;
  signal: string | null;
}

// --- control stream: JSON-RPC 2.0, one message a line ---------------------------------------------------------------

export interface RunParams {
  command: string[];
  env: Record<string, string>;
  cwd: string | null;
  /** capability token of this boot; kept in the harness's memory only */
  token: string;
  /** loopback ports that the harness opens inside and carries to the host */
  bindings: { name: string; port: number }[];
  /** loopback port of the Guest API */
  guest_api_port: number;
}

/** Requests, host to harness. */
export interface HostRequests {
  run: { params: RunParams; result: { pid: number } };
  token: { params: { token: string }; result: Record<string, never> };
  signal: { params: { signal: string }; result: Record<string, never> };
  /** TERM to the workload, KILL after `grace_ms`; answers when it is gone; then the harness exits */
  shutdown: { params: { grace_ms: number }; result: { exit: ProcessExit | null } };
}

/** Notifications, host to harness. */
export interface HostNotifications {
  "stream.refused": { stream_id: string; error: string };
  /** log lines up to this number are on disk; the others are sent again to the next host */
  "log.saved": { seq: number };
}

/** Notifications, harness to host. */
export interface HarnessNotifications {
  /** `seq` numbers the lines of a boot from 1 on */
  log: { stream: "stdout" | "stderr"; line: string; ts: string; seq?: number };
  /** lines that the harness had to drop because no host was there to take them */
  "log.dropped": { lines: number };
  activity: ActivityReport;
  processExited: ProcessExit;
  "stream.open": { stream_id: string; token: string } & ({ kind: "guest_api" } | { kind: "binding"; binding: string });
}

/** Activity in the last interval, sent only when there was some. Silence is idle. */
export interface ActivityReport {
  /** established TCP connections to elsewhere than loopback and the host */
  tcp: number;
  /** CPU time of all processes but the harness and init, in ms */
  cpu_ms: number;
  /** bytes in and out of the network interface, those of the host's own connections included */
  net_bytes: number;
}

export type RpcError = { code: number; message: string; data?: { code: StreamErrorCode } };

export type RpcMessage =
  | { jsonrpc: "2.0"; id: number; method: string; params: unknown }
  | { jsonrpc: "2.0"; method: string; params: unknown }
  | { jsonrpc: "2.0"; id: number; result: unknown }
  | { jsonrpc: "2.0"; id: number; error: RpcError };

/** A line longer than this on the control stream or as a header is a protocol error: the stream is closed. */
export const MAX_LINE_BYTES = 1024 * 1024;

/** A log line longer than this is cut, and says so. */
export const MAX_LOG_LINE_BYTES = 16 * 1024;

/** How often the harness looks for activity, in ms (+- 10 %). */
export const HEARTBEAT_MS = 5000;
/** Thresholds per heartbeat below which an instance counts as idle. */
export const IDLE_CPU_MS = 100;
export const IDLE_NET_BYTES = 512;

export const GUEST_API_PORT = 7777;
/** where the harness and its loader are mounted */
export const HARNESS_DIR = "/.aegis";
/** the harness listens on this inherited file descriptor, or carries all streams on it where it is a character device */
export const HARNESS_LISTEN_FD = 3;
