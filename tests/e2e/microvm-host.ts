import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MicrovmDriver } from "../../packages/daemon/src/drivers/microvm/microvm-driver.ts";
import { ContainerHost, guestFolder } from "./container-host.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds what virtual machines boot from, where a source of it is newer. */
export function vmFolder(): string {
  const folder = join(ROOT, "dist/vm");
  execFileSync(process.execPath, [join(ROOT, "packages/guest/build-vm.ts"), folder, guestFolder()], { stdio: "pipe" });
  return folder;
}

/** A home of its own for a microvm driver under emulation. */
export class MicrovmHost extends ContainerHost {
  readonly #vmDir = vmFolder();

  microvm(): MicrovmDriver {
    return new MicrovmDriver({
      home: this.home,
      homeKey: this.homeKey,
      harnessDir: guestFolder(),
      vmDir: this.#vmDir,
      owner: { uid: 4321, gid: 4322 },
      accelerator: "tcg",
      log: () => undefined,
    });
  }
}
