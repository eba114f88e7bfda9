import type { RuntimeName } from "../../../../packages/daemon/src/drivers/container/oci-runtime.ts";

/** What the process beside the bench can be asked to do; every number is milliseconds. */
export interface RawCalls {
  open: (setup: RawSetup) => Promise<void>;
  /** Makes a container's folder. Not timed: who runs containers by hand has it ready. */
  prepare: (container: { name: string; runtime: RuntimeName; command: string[] }) => Promise<void>;
  /** mount, runtime and network, until all of it is done and the workload has said its first word */
  boot: (container: { name: string }) => Promise<number>;
  /** the same, then connections to the workload's port until the first byte of an answer */
  bootToFirstByte: (container: { name: string }) => Promise<number>;
  /** one command, from its start to its exit */
  exec: (exec: { name: string; command: string[] }) => Promise<number>;
  freeze: (container: { name: string }) => Promise<void>;
  /** TERM, wait for the end, and give everything back but the disk */
  stop: (container: { name: string }) => Promise<number>;
  /** KILL, and give everything back with the disk */
  remove: (container: { name: string }) => Promise<number>;
  /** A plain TCP proxy to the container's port, which thaws the container first when it is asked to wake. */
  proxy: (options: { name: string; wakes: boolean }) => Promise<number>;
  close: (nothing: Record<string, never>) => Promise<void>;
}

export interface RawSetup {
  folder: string;
  rootfs: string;
  harnessDir: string;
  memoryMb: number;
  /** the port that workloads listen on */
  port: number;
  /** tells apart what two benches at once make on the host */
  key: number;
}

export interface RawRequest {
  id: number;
  method: keyof RawCalls;
  params: unknown;
}

export type RawReply = { id: number; result: unknown } | { id: number; error: string };
