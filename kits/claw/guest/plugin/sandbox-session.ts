import { fileURLToPath } from "node:url";
import { type ChildJob, type Ended, runInChild } from "./child-exec.ts";
import { GuestApiError } from "./guest-api.ts";
import type { SentFiles } from "./sent-files.ts";

/** as much as OpenClaw takes of a command of its own */
const MAX_OUTPUT_BYTES = 100 * 1024 * 1024;
/** starts in a tenth of the time that `aegis-guest exec` takes, and does the same */
const RUN_IN_CHILD = fileURLToPath(new URL("run-in-child.pl", import.meta.url));
/** The local process sees nothing else of the gateway's environment, which may hold a key. */
const TRANSPORT_ENV = { PATH: "/usr/local/bin:/usr/bin:/bin" };

export interface RemoteCommand {
  /** one simple command, quoted for a shell */
  remoteCommand: string;
  stdin?: Uint8Array | string;
  /** an exit code other than 0 is an answer, and no error */
  allowFailure?: boolean;
  signal?: AbortSignal;
}

/** A local process that is the command's: its input, its output and its exit code. */
export interface PreparedExec {
  argv: string[];
  env: Record<string, string>;
  cleanup: () => Promise<void>;
}

/** How OpenClaw gets at a sandbox for one call of a tool. */
export interface SandboxSession {
  runCommand: (command: RemoteCommand) => Promise<Ended>;
  prepareExec: (command: { remoteCommand: string; env: Record<string, string> }) => Promise<PreparedExec>;
  uploadDirectory: () => Promise<never>;
  dispose: () => Promise<void>;
}

export interface SandboxPlace {
  /** `AEGIS_GUEST_API` */
  guestApi: string;
  id: string;
  /** @throws Error when OpenClaw has given the sandbox up */
  assertCurrent: () => void;
  /** Starts it when it is down. @returns its id. @throws Error when it was deleted */
  wake: () => Promise<string>;
  /** the bot's workspace, where files that people send arrive */
  botWorkspace: string;
  /** the sandbox's */
  workdir: string;
  sentFiles: SentFiles;
}

/**
 * What OpenClaw does around a call (does the folder exist, where does a link lead, read this file) runs from within the
 * gateway; only the command of `exec`, which OpenClaw wants to watch, has a local process.
 */
export function sandboxSession(place: SandboxPlace): SandboxSession {
  const { guestApi, assertCurrent } = place;
  let { id } = place;
  const runOnce = (job: Omit<ChildJob, "maxBytes">) => runInChild(guestApi, id, { ...job, maxBytes: MAX_OUTPUT_BYTES });
  // nearly always it is up, and to ask before each command would cost as much as the command
  const run = async (job: Omit<ChildJob, "maxBytes">) => {
    try {
      return await runOnce(job);
    } catch (error) {
      // refused, so nothing of it has run
      if (!(error instanceof GuestApiError)) throw error;
      id = await place.wake();
      return await runOnce(job);
    }
  };
  const bringWhatIsNamed = (text: string) =>
    place.sentFiles.bring(text, { sandbox: id, from: place.botWorkspace, to: place.workdir }, run);
  return {
    runCommand: async ({ remoteCommand, stdin, allowFailure, signal }) => {
      assertCurrent();
      await bringWhatIsNamed(remoteCommand);
      const input = typeof stdin === "string" ? Buffer.from(stdin) : stdin;
      const ended = await run({ command: shell(remoteCommand), ...(input === undefined ? {} : { input }), signal });
      if (ended.code === 0 || allowFailure === true) return ended;
      const why = ended.stderr.toString().trim();
      throw Object.assign(new Error(why === "" ? `it ended with exit code ${ended.code}` : why), ended);
    },
    prepareExec: async ({ remoteCommand, env }) => {
      assertCurrent();
      id = await place.wake();
      await bringWhatIsNamed(remoteCommand);
      const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      const argv = ["perl", RUN_IN_CHILD, new URL(guestApi).host, id, ...variables, "--", ...shell(remoteCommand)];
      return { argv, env: TRANSPORT_ENV, cleanup: () => Promise.resolve() };
    },
    uploadDirectory: () => Promise.reject(new Error("a sandbox has a workspace of its own: nothing is copied into it")),
    dispose: () => Promise.resolve(),
  };
}

const shell = (remoteCommand: string): string[] => ["/bin/sh", "-c", `exec ${remoteCommand}`];
