import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { chooseDriver } from "./choose-driver.ts";
import { refuseFullDisk } from "./core/disk-watch.ts";
import { startDaemon } from "./daemon.ts";
import type { Daemon, DaemonParts } from "./daemon.ts";
import { ContainerDriver } from "./drivers/container/container-driver.ts";
import { runFolderOf } from "./drivers/linux/home-machines.ts";
import { driverOfLeft } from "./drivers/linux/machine-record.ts";
import { MicrovmDriver } from "./drivers/microvm/microvm-driver.ts";
import { FIRST_HOST_ID, ID_COUNT } from "./drivers/linux/oci-config.ts";
import { whyNoVms } from "./drivers/microvm/vm-parts.ts";
import { invokingUser, openHome } from "./home.ts";
import type { Home, Owner } from "./home.ts";
import { ImageStore } from "./images/image-store.ts";
import { preventCoreDumps } from "./no-core-dumps.ts";
import { removePidFile, writePidFile } from "./pid-file.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { FolderGauge } from "./store/disk-gauge.ts";

const log = (message: string): void => void process.stderr.write(`${new Date().toISOString()} ${message}\n`);

async function main(): Promise<void> {
  preventCoreDumps(log);
  const owner = invokingUser(process.env);
  const home = openHome(process.env, owner);
  const settings = readSettings(process.env, projectRoot(import.meta.dirname));
  const gauge = new FolderGauge({ written: [home.root, home.images], owned: [home.instances, home.database] });
  const daemon = await startDaemon({
    gauge,
    home,
    owner,
    settings,
    log,
    ...(await makeDriver(settings, home, owner)),
    images: new ImageStore({
      root: home.images,
      mirrors: settings.mirrors,
      home,
      refuseWhenFull: () => refuseFullDisk(gauge.space()),
      idMap: { uid: FIRST_HOST_ID, gid: FIRST_HOST_ID, size: ID_COUNT },
    }),
    onShutdown: () => leave(home.pidFile),
  });
  writePidFile(home.pidFile, log);
  log(`aegisd is ready on ${home.socket}`);
  endOnSignals(daemon, home.pidFile);
}

/** The only place that knows what drivers there are. */
async function makeDriver(
  settings: Settings,
  home: Home,
  owner: Owner,
): Promise<Pick<DaemonParts, "driver" | "driverReason">> {
  const { harnessDir, vmDir, warmStarts, runtime, reclaim } = settings;
  const common = { home: home.root, homeKey: home.key, harnessDir, owner, log };
  const { name, driverReason } = await chooseDriver(settings.driver, {
    left: () => driverOfLeft(runFolderOf({ homeKey: home.key })),
    whyNoVms: () => whyNoVms(vmDir),
  });
  log(`instances are made by the ${name} driver: ${driverReason}`);
  const driver =
    name === "microvm"
      ? new MicrovmDriver({ ...common, vmDir, accelerator: "auto", warmStarts })
      : new ContainerDriver({ ...common, runtime, reclaim });
  return { driver, driverReason };
}

function leave(pidFile: string): never {
  removePidFile(pidFile);
  process.exit(0);
}

/** The daemon runs from its sources or from a bundle in `dist`: what both have above them is the lock file. */
function projectRoot(folder: string): string {
  if (existsSync(join(folder, "package-lock.json")) || folder === dirname(folder)) return folder;
  return projectRoot(dirname(folder));
}

/** The daemon ends, its instances do not: the next daemon takes them up again. */
function endOnSignals(daemon: Daemon, pidFile: string): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void daemon.close(false).finally(() => leave(pidFile)));
  }
}

process.on("unhandledRejection", (error) => log(`a defect: ${error instanceof Error ? error.stack : String(error)}`));

main().catch((error: unknown) => {
  log(
    error instanceof AegisError
      ? error.message
      : `aegisd could not start: ${error instanceof Error ? error.stack : String(error)}`,
  );
  process.exit(1);
});
