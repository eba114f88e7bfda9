import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { AegisError } from "@aegis/protocol/errors";
import type { DaemonStatus } from "@aegis/protocol/status";
import { daemonLogPathOf, socketPathOf } from "./aegis-home.ts";
import { AegisClient } from "./client.ts";
import { daemonEntry } from "./daemon-entry.ts";
import { daemonEnv, keptThroughSudo, type DaemonPlace } from "./daemon-env.ts";
import { openHomeFolder, ownerOf } from "./home-folder.ts";
import { processStart } from "./process-identity.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const NODE = join(ROOT, "node_modules/node/bin/node");
const LAUNCHER = fileURLToPath(new URL("./launch-daemon.ts", import.meta.url));
/**
 * The daemon is to be small above all. Left to itself V8 lets garbage pile up, and malloc gives each thread an arena:
 * after thousands of connections that is 40 MB more, and no faster.
 */
const NODE_ARGS = ["--disable-warning=ExperimentalWarning", "--optimize-for-size", "--max-semi-space-size=1"];
const MALLOC = { MALLOC_ARENA_MAX: "1" };

const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 120_000;
const POLL_MS = 20;
const SHOWN_LOG_LINES = 8;
/** A longer log of earlier daemons is put aside at the start of the next. */
const MAX_LOG_BYTES = 8 * 1024 * 1024;

/** The daemon's status, or null when none answers there. */
export async function runningDaemon(home: string): Promise<DaemonStatus | null> {
  try {
    return await new AegisClient({ socketPath: socketPathOf(home) }).status();
  } catch (error) {
    if (error instanceof AegisError && error.code === "unavailable") return null;
    throw error;
  }
}

/**
 * Starts aegisd in the background and waits until it answers; as somebody else than root through sudo, which may ask
 * for a password on the terminal.
 * @throws AegisError `unavailable` with the last lines of its log
 */
export async function startDaemon(place: DaemonPlace): Promise<DaemonStatus> {
  if (process.getuid?.() === 0) return launchDaemon(place);
  const env = { ...place.env, AEGIS_HOME: place.home };
  openHomeFolder(place, "data");
  const sudo = spawnSync("sudo", [`--preserve-env=${keptThroughSudo(env)}`, NODE, ...NODE_ARGS, LAUNCHER], {
    env,
    stdio: "inherit",
  });
  if (sudo.error)
    throw new AegisError("forbidden", "aegisd needs root and there is no sudo here: run this command as root", {
      cause: sudo.error,
    });
  const status = await runningDaemon(place.home);
  if (status !== null) return status;
  throw new AegisError("unavailable", `aegisd did not start: see above, and its log ${daemonLogPathOf(place.home)}`);
}

/** As root: one detached process, its output in the log, and the wait for its socket. */
export async function launchDaemon(place: DaemonPlace): Promise<DaemonStatus> {
  if (!existsSync(NODE))
    throw new AegisError("unavailable", `aegisd needs Node 24 in ${NODE}: run \`npm install\` in ${ROOT}`);
  openHomeFolder(place, "data");
  const logPath = daemonLogPathOf(place.home);
  if (existsSync(logPath) && statSync(logPath).size > MAX_LOG_BYTES) renameSync(logPath, `${logPath}.1`);
  const logStart = existsSync(logPath) ? statSync(logPath).size : 0;
  const log = openSync(logPath, "a", 0o600);
  const daemon = spawn(NODE, [...NODE_ARGS, daemonEntry(ROOT)], {
    cwd: "/",
    env: { ...MALLOC, ...daemonEnv(place) },
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  chownSync(logPath, ...ownerOf(place));
  const status = await firstAnswer(place.home, daemon);
  daemon.unref();
  if (status !== null) return status;
  const lines = readFileSync(logPath).subarray(logStart).toString().trimEnd().split("\n").slice(-SHOWN_LOG_LINES);
  throw new AegisError(
    "unavailable",
    [`aegisd did not start; the end of its log, ${logPath}:`, ...lines.map((line) => `  ${line}`)].join("\n"),
  );
}

/**
 * Ends the daemon and waits until its process is gone. With `stopInstances` they are stopped first; without, they run
 * on and the next daemon takes them up.
 */
export async function stopDaemon(home: string, options: { stopInstances: boolean }): Promise<void> {
  const client = new AegisClient({ socketPath: socketPathOf(home) });
  const { pid } = await client.status();
  const start = processStart(pid);
  await client.shutdown(options);
  const deadline = Date.now() + STOP_DEADLINE_MS;
  // not our child, so there is no event to wait for
  while (start !== null && processStart(pid) === start) {
    if (Date.now() > deadline)
      throw new AegisError(
        "unavailable",
        `aegisd (pid ${pid}) is still there ${STOP_DEADLINE_MS / 1000} s after it was told to end: see ${daemonLogPathOf(home)}`,
      );
    await delay(POLL_MS);
  }
}

/** Null when the daemon ended, or said nothing in time and was ended. */
async function firstAnswer(home: string, daemon: ChildProcess): Promise<DaemonStatus | null> {
  const deadline = AbortSignal.timeout(START_DEADLINE_MS);
  const ended = once(daemon, "exit");
  while (daemon.exitCode === null && daemon.signalCode === null && !deadline.aborted) {
    const status = await runningDaemon(home);
    if (status !== null) return status;
    await Promise.race([ended, delay(POLL_MS)]);
  }
  if (daemon.kill("SIGTERM")) await ended;
  // another one may have been quicker
  return runningDaemon(home);
}
