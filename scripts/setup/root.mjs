import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { SetupFailure } from "./failure.mjs";

/** Kept through sudo: settings of Aegis and of the kit, keys for it, the way to the outside, the terminal's looks. */
const KEPT =
  /^(AEGIS_|CLAW_|TELEGRAM_|OPENAI_|ANTHROPIC_|VITEST|CI$|FORCE_COLOR$|NO_COLOR$|npm_execpath$|(https?|no)_proxy$|SSL_CERT_FILE$|NODE_EXTRA_CA_CERTS$)/i;

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
  return handOver("sudo", [`--preserve-env=${names.join(",")}`, process.execPath, ...process.argv.slice(1)]);
}

/**
 * Gives terminal, signals and exit code to another program. It also learns when we vanish: its IPC channel closes then.
 * @returns its exit code
 */
export function handOver(command, args, { env = process.env, ipc = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ipc ? ["inherit", "inherit", "inherit", "ipc"] : "inherit" });
    const passOn = Object.fromEntries(
      ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => [signal, () => void child.kill(signal)]),
    );
    for (const [signal, handler] of Object.entries(passOn)) process.on(signal, handler);
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      for (const [name, handler] of Object.entries(passOn)) process.off(name, handler);
      resolve(signal === null ? code : 128 + constants.signals[signal]);
    });
  });
}
