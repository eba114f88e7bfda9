import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestContext } from "vitest";
import type { Driver, MachineSpec } from "../../packages/daemon/src/core/driver.ts";
import {
  ContainerDriver,
  type ContainerDriverOptions,
} from "../../packages/daemon/src/drivers/container/container-driver.ts";
import type { HomeOptions } from "../../packages/daemon/src/drivers/linux/home-machines.ts";
import { MicrovmDriver, type MicrovmDriverOptions } from "../../packages/daemon/src/drivers/microvm/microvm-driver.ts";
import { makeBusyboxRootfs } from "./busybox-image.ts";
import { HostLeftovers } from "./host-leftovers.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds the harness if its sources are newer than the last build. */
export function guestFolder(): string {
  const folder = join(ROOT, "dist/guest");
  execFileSync(process.execPath, [join(ROOT, "packages/guest/build.ts"), folder], { stdio: "pipe" });
  return folder;
}

/** Builds what virtual machines boot from, where a source of it is newer. */
export function vmFolder(): string {
  const folder = join(ROOT, "dist/vm");
  execFileSync(process.execPath, [join(ROOT, "packages/guest/build-vm.ts"), folder, guestFolder()], { stdio: "pipe" });
  return folder;
}

/** Whether the tests run on virtual machines; else they run on containers. */
export const isMicrovm = process.env["AEGIS_DRIVER"] === "microvm";

/** As a `beforeEach` of tests that look at what only containers have. The report says why they were left out. */
export const notInVm =
  (why: string) =>
  ({ skip }: TestContext): void =>
    skip(isMicrovm, why);

/** A home of its own for a driver, with a small root file system, and what it must not leave behind. */
export class DriverHost {
  readonly home = mkdtempSync(join(tmpdir(), "aegis-home-"));
  readonly homeKey = `test-${randomBytes(4).toString("hex")}`;
  readonly rootfs: string;
  readonly image: MachineSpec["image"];
  readonly #harnessDir = guestFolder();
  readonly #leftovers = new HostLeftovers(this.home, this.homeKey);
  #boots = 0;

  constructor() {
    // Instances reach their root file system by the mount alone, not through the host's folders.
    chmodSync(this.home, 0o700);
    this.rootfs = makeBusyboxRootfs(join(this.home, "images", "busybox"));
    this.image = { digest: "sha256:0", derived: join(this.home, "images", "derived") };
  }

  /** of the kind that AEGIS_DRIVER names */
  driver(options: Partial<HomeOptions> = {}): Driver {
    return isMicrovm ? this.microvm(options) : this.container(options);
  }

  container(options: Partial<ContainerDriverOptions> = {}): ContainerDriver {
    return new ContainerDriver({ ...this.#options, ...options });
  }

  /** under emulation, unless it is asked for otherwise */
  microvm(options: Partial<MicrovmDriverOptions> = {}): MicrovmDriver {
    return new MicrovmDriver({ ...this.#options, ...this.microvmOptions, ...options });
  }

  get microvmOptions(): Omit<MicrovmDriverOptions, "log"> {
    const { log: _, ...options } = this.#options;
    return { ...options, vmDir: vmFolder(), accelerator: "tcg", warmStarts: "asked" };
  }

  get #options(): HomeOptions {
    return {
      home: this.home,
      homeKey: this.homeKey,
      harnessDir: this.#harnessDir,
      owner: { uid: 4321, gid: 4322 },
      log: () => undefined,
    };
  }

  spec(over: Partial<MachineSpec> = {}): MachineSpec {
    return {
      instanceId: `inst-${++this.#boots}`,
      boot: 1,
      hostname: "box",
      rootfs: this.rootfs,
      user: "",
      memoryMb: 128,
      diskMb: 1024,
      vcpus: 1,
      image: this.image,
      readOnlyRoot: false,
      network: { mode: "open" },
      workspace: null,
      ...over,
    };
  }

  folder(name: string): string {
    const folder = join(this.home, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** As the store hands out a workspace that it has opened. */
  workspace(path: string): NonNullable<MachineSpec["workspace"]> {
    const { dev, ino } = statSync(path, { bigint: true });
    return { path, identity: `${dev}:${ino}` };
  }

  /** Call while the driver runs: notes what the home's network is known by. */
  remember(): void {
    this.#leftovers.remember();
  }

  /** Everything on the host that carries this home's name; empty once all machines are removed and the driver closed. */
  leftovers(): string[] {
    return this.#leftovers.now();
  }

  /** Removes the home. @returns what was left of it on the host before that, which must be nothing */
  remove(): string[] {
    const left = this.leftovers();
    rmSync(this.home, { recursive: true, force: true });
    this.#leftovers.strikeIfGone();
    return left;
  }
}
