import { ensureDaemonBundle } from "./setup/daemon-bundle.mjs";
import { ensureDebianPackages } from "./setup/debian-packages.mjs";
import { runMain } from "./setup/failure.mjs";
import { ensureGuestBinary } from "./setup/guest-binary.mjs";
import { ensureVm } from "./setup/guest-vm.mjs";
import { ensureNpmPackages } from "./setup/npm-packages.mjs";
import { againAsRoot, isRoot } from "./setup/root.mjs";
import { realpathSync } from "node:fs";
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
  await ensureNpmPackages({ install });
  if (!isRoot()) return againAsRoot(why);
  const vms = tests || process.env["AEGIS_DRIVER"] === "microvm";
  await ensureDebianPackages({ tests, vms, install });
  await ensureGuestBinary();
  if (vms) await ensureVm();
  await ensureDaemonBundle();
  return null;
}

const isMain = process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url);
if (isMain) await runMain(async () => (await bootstrap({ tests: process.argv.includes("--tests") })) ?? 0);
