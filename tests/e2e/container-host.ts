import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MachineSpec } from "../../packages/daemon/src/core/driver.ts";
import {
  ContainerDriver,
  type ContainerDriverOptions,
} from "../../packages/daemon/src/drivers/container/container-driver.ts";
import { loopDevicesOf } from "./loop-devices.ts";
import { makeBusyboxRootfs } from "./busybox-image.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds the harness if its sources are newer than the last build. */
export function guestFolder(): string {
  const folder = join(ROOT, "dist/guest");
  execFileSync(process.execPath, [join(ROOT, "packages/guest/build.ts"), folder], { stdio: "pipe" });
  return folder;
}

/** A home of its own for a container driver, with a small root file system, and what it must not leave behind. */
export class ContainerHost {
  readonly home = mkdtempSync(join(tmpdir(), "aegis-home-"));
  readonly homeKey = `test-${randomBytes(4).toString("hex")}`;
  readonly rootfs: string;
  readonly #harnessDir = guestFolder();
  #boots = 0;

  constructor() {
    // Instances reach their root file system by the mount alone, not through the host's folders.
    chmodSync(this.home, 0o700);
    this.rootfs = makeBusyboxRootfs(join(this.home, "images", "busybox"));
  }

  driver(options: Partial<ContainerDriverOptions> = {}): ContainerDriver {
    return new ContainerDriver({
      home: this.home,
      homeKey: this.homeKey,
      harnessDir: this.#harnessDir,
      owner: { uid: 4321, gid: 4322 },
      log: () => undefined,
      ...options,
    });
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
      image: { digest: "sha256:0" },
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

  /** Everything on the host that carries this home's name; empty once all machines are removed and the driver closed. */
  leftovers(): string[] {
    const block = this.#claimedBlock();
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const table = execFileSync("nft", ["list", "tables"], { encoding: "utf8" }).split("\n");
    return [
      ...(block === null
        ? []
        : [`claim of block ${block}`, ...table.filter((line) => line.endsWith(`aegis_${block}`))]),
      ...mounts.filter((line) => line.includes(this.home) || line.includes(this.homeKey)),
      ...this.#cgroups(),
      ...loopDevicesOf(this.home),
      ...(existsSync(`/run/aegis/${this.homeKey}`) ? [`/run/aegis/${this.homeKey}`] : []),
    ];
  }

  /** Call while the driver runs; what it returns tells, once all is closed, what is left of the home's network. */
  networkTraces(): () => string[] {
    const block = this.#claimedBlock();
    if (block === null) throw new Error("the home has no address block");
    const marks = [`ag${block}-`, `aegis_${block}`];
    const look = (command: string, ...args: string[]): string[] =>
      execFileSync(command, args, { encoding: "utf8" })
        .split("\n")
        .filter((line) => marks.some((mark) => line.includes(mark)));
    return () => {
      // given to another home meanwhile: what carries its number is that one's
      if (existsSync(join("/run/aegis/net", block))) return [];
      return [...look("ip", "-o", "address"), ...look("ip", "route"), ...look("nft", "list", "tables")];
    };
  }

  #claimedBlock(): string | null {
    const folder = "/run/aegis/net";
    if (!existsSync(folder)) return null;
    const names = readdirSync(folder).filter((name) => /^\d+$/.test(name));
    return names.find((name) => claimant(join(folder, name)) === this.home) ?? null;
  }

  #cgroups(): string[] {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => / - cgroup2? /.test(line));
    return mounts
      .map((line) => join(line.split(" ")[4] ?? "", "aegis", this.homeKey))
      .filter((path) => existsSync(path));
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Empty for a claim that has just been given back. */
function claimant(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
