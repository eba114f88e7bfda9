import type { LogLine } from "@aegis/protocol/exec";

export interface LogQuery {
  /** the newest N lines only */
  tail?: number;
  /** RFC 3339; lines at or after it */
  since?: string;
  /** go on with new lines until the signal aborts or the instance is deleted */
  follow?: boolean;
}

/** Where a line of a workload stands in its boot. */
export interface LogPosition {
  boot: number;
  seq: number;
}

/** Log lines per instance; kept across restarts of instance and daemon, rotated, gone with the instance. */
export interface Logs {
  append(instanceId: string, line: LogLine, position?: LogPosition): void;
  /** null, or what to wait for before more is appended, when much waits for the disk */
  pressure(instanceId: string): Promise<void> | null;
  /** number of the newest line of a boot that is on disk; 0 when there is none */
  newestSeq(instanceId: string, boot: number): Promise<number>;
  read(instanceId: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine>;
  delete(instanceId: string): Promise<void>;
  /** everything appended so far is on disk: of one instance, or of all */
  flush(instanceId?: string): Promise<void>;
}
