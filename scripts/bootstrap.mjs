import { ensureDaemonBundle } from "./setup/daemon-bundle.mjs";
import { ensureDebianPackages } from "./setup/debian-packages.mjs";
import { runMain, SetupFailure } from "./setup/failure.mjs";
import { ensureGuestBinary } from "./setup/guest-binary.mjs";
import { ensureVm } from "./setup/guest-vm.mjs";
import { ensureNpmPackages } from "./setup/npm-packages.mjs";
import { oneAtATime } from "./setup/one-at-a-time.mjs";
import { againAsRoot, isRoot } from "./setup/root.mjs";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Brings a clone to where it can run, and does nothing where it is. As somebody else than root it goes on through sudo.
 * @param {{tests?: boolean, install?: boolean, why?: string}} options `tests`: with what only the tests need
 * @returns {Promise<number | null>} null: go on; a number: all was done by the run as root, leave with this exit code
 */
export async function bootstrap({
  tests = false,
  install = true,
  why = "to install packages and to run instances",
} = {}) {
  if (!isRoot()) {
    await oneAtATime(() => ensureNpmPackages({ install }));
    return againAsRoot(why);
  }
  await oneAtATime(() => setUp({ tests, install }));
  return null;
}

async function setUp({ tests, install }) {
  await ensureNpmPackages({ install });
  const vms = wantsVms(tests);
  await ensureDebianPackages({ tests, vms: vms === "needed", install });
  await ensureGuestBinary();
  if (vms === "needed") await ensureVm();
  if (vms === "better") await tryVms(install);
  await ensureDaemonBundle();
}

/** @returns {"needed" | "better" | "no"} whether virtual machines are asked for, or the better choice where KVM may work */
function wantsVms(tests) {
  const driver = process.env["AEGIS_DRIVER"] ?? "auto";
  if (tests || driver === "microvm") return "needed";
  if (driver !== "auto" || !existsSync("/dev/kvm")) return "no";
  return /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync("/proc/cpuinfo", "utf8")) ? "better" : "no";
}

/** Instances are containers where this fails, which is no reason not to start. */
async function tryVms(install) {
  try {
    await ensureDebianPackages({ tests: false, vms: true, install });
    await ensureVm();
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error;
    process.stdout.write(
      `this machine has KVM, but virtual machines cannot be set up, so instances are containers: ${error.message}\n`,
    );
  }
}

const isMain = process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url);
if (isMain) await runMain(async () => (await bootstrap({ tests: process.argv.includes("--tests") })) ?? 0);
