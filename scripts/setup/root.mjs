import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { SetupFailure } from "./failure.mjs";

/** Kept through sudo: settings of Aegis and of the kit, keys for it, the way to the outside, the terminal's looks. */
const KEPT =
  /^(AEGIS_|CLAW_|TELEGRAM_|OPENAI_|ANTHROPIC_|VITEST|CI$|FORCE_COLOR$|NO_COLOR$|npm_execpath$|(https?|no)_proxy$|SSL_CERT_FILE$|NODE_EXTRA_CA_CERTS$)/i;

/** Names the process that called sudo, for the one behind it. */
const OUTER = "START_OUTER_PID";
const OUTER_WATCH_MS = 500;
/** npm that is told to end tells only the shell between it and us. */
const SHELL = process.env["npm_lifecycle_event"] === undefined ? null : process.ppid;

export const isRoot = () => process.getuid?.() === 0;

/**
 * Runs this very script once more as root. sudo may ask for a password on the terminal.
 * @returns its exit code
 */
export async function againAsRoot(why) {
  if (spawnSync("sudo", ["-V"], { stdio: "ignore" }).error)
    throw new SetupFailure(
      `this needs root (${why}), and there is no sudo here.\nLog in as root, or install sudo, then start again.`,
    );
  process.stdout.write(`root is needed (${why}): going on through sudo\n`);
  const names = Object.keys(process.env).filter((name) => KEPT.test(name));
  const env = { ...process.env, [OUTER]: String(process.pid) };
  return handOver(
    "sudo",
    [`--preserve-env=${[...names, OUTER].join(",")}`, process.execPath, ...process.argv.slice(1)],
    { env },
  );
}

/**
 * Gives terminal, signals and exit code to another program. It also learns when we vanish: its IPC channel closes then.
 * @returns its exit code
 */
export function handOver(command, args, { env = process.env, ipc = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ipc ? ["inherit", "inherit", "inherit", "ipc"] : "inherit" });
    const handlers = ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => [signal, () => passOn(signal, child)]);
    for (const [signal, handler] of handlers) process.on(signal, handler);
    const watch = watchOuter(() => passOn("SIGTERM", child));
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearInterval(watch);
      for (const [name, handler] of handlers) process.off(name, handler);
      resolve(signal === null ? code : 128 + constants.signals[signal]);
    });
  });
}

/** sudo cannot be signalled by who called it. A terminal reaches it anyway; else we leave, and it sees that we are gone. */
function passOn(signal, child) {
  try {
    process.kill(child.pid, signal);
  } catch (error) {
    if (error.code === "ESRCH") return;
    if (error.code !== "EPERM") throw error;
    if (signal !== "SIGINT" || !process.stdin.isTTY) process.exit(128 + constants.signals[signal]);
  }
}

/** Calls when what started us is gone: the process that asked sudo, or npm. */
function watchOuter(onGone) {
  const outer = isRoot() ? Number(process.env[OUTER]) : 0;
  if (!(outer > 1) && SHELL === null) return undefined;
  const isGone = () => (outer > 1 && !existsSync(`/proc/${outer}`)) || (SHELL !== null && process.ppid !== SHELL);
  const watch = setInterval(() => {
    if (!isGone()) return;
    clearInterval(watch);
    onGone();
  }, OUTER_WATCH_MS);
  return watch;
}
