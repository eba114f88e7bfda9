import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { CgroupLayout } from "../../../../packages/daemon/src/drivers/linux/cgroup-layout.ts";
import { openDisk } from "../../../../packages/daemon/src/drivers/container/instance-disk.ts";
import { fillBootFolder, linkDisk } from "../../../../packages/daemon/src/drivers/container/machine-folder.ts";
import { freshFolder } from "../../../../packages/daemon/src/drivers/linux/fresh-folder.ts";
import type { RuntimeName } from "../../../../packages/daemon/src/drivers/container/oci-runtime.ts";
import { firstByte } from "../first-byte.ts";
import { timed } from "../sampling.ts";
import type { RawSetup } from "./raw-calls.ts";
import { rawConfig } from "./raw-config.ts";
import { RAW_SCRIPT } from "./raw-script.ts";

const run = promisify(execFile);
const LOOK_MS = 1;

export interface RawContainerParts {
  name: string;
  runtime: RuntimeName;
  command: string[];
  setup: RawSetup;
  layout: CgroupLayout;
  address: string;
  gateway: string;
}

/** One container as a person would run it with the runtime's own commands. */
export class RawContainer {
  readonly address: string;
  readonly #parts: RawContainerParts;
  readonly #folder: string;
  readonly #id: string;
  readonly #cgroup: string;
  readonly #interface: string;
  #wasBooted = false;

  constructor(parts: RawContainerParts) {
    const { name, setup, address } = parts;
    this.address = address;
    this.#parts = parts;
    this.#folder = join(setup.folder, name);
    this.#id = `bench-${setup.key}-${name}`;
    this.#cgroup = `/${this.#id}`;
    this.#interface = `bn${address.split(".").slice(2).join("-")}`;
  }

  async prepare(): Promise<void> {
    const { setup, address, gateway, name } = this.#parts;
    const disk = join(this.#folder, "disk");
    await freshFolder(this.#folder);
    await linkDisk(this.#folder, await openDisk(disk, this.#folder, { asImage: false, sizeMb: 0 }));
    const config = rawConfig({ ...this.#parts, folder: this.#folder, cgroup: this.#cgroup });
    await fillBootFolder(this.#folder, { rootfs: setup.rootfs, config, hostname: name, address, gateway });
  }

  async boot(): Promise<number> {
    const { runtime, address, gateway } = this.#parts;
    const args = [this.#folder, runtime, this.#id, this.#interface, gateway, address];
    this.#wasBooted = true;
    const start = performance.now();
    // no device of the host as a standard stream: the runtime gives those to the container's user
    const child = spawn("unshare", ["-m", "sh", "-c", RAW_SCRIPT, "bench-boot", ...args], { stdio: "pipe" });
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said += text.toString()));
    const [[code]] = await Promise.all([once(child, "exit"), once(child.stdout, "data")]);
    const took = performance.now() - start;
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    if (code !== 0) throw new Error(`${runtime} could not boot: ${said}`);
    return took;
  }

  async bootToFirstByte(): Promise<number> {
    return timed(async () => {
      await this.boot();
      while (!(await this.#answers())) await delay(LOOK_MS);
    });
  }

  #answers(): Promise<boolean> {
    return firstByte(this.#parts.setup.port, this.address).then(
      () => true,
      () => false,
    );
  }

  exec(command: string[]): Promise<number> {
    return timed(() => this.#runtime("exec", this.#id, ...command));
  }

  setFrozen(frozen: boolean): void {
    const { layout } = this.#parts;
    const v1 = layout.v1.get("freezer");
    if (v1 !== undefined) writeFileSync(join(v1, this.#cgroup, "freezer.state"), frozen ? "FROZEN" : "THAWED");
    else writeFileSync(join(layout.v2 ?? "", this.#cgroup, "cgroup.freeze"), frozen ? "1" : "0");
  }

  async stop(): Promise<number> {
    const took = await timed(async () => {
      await this.#runtime("kill", this.#id, "TERM");
      const pid = readFileSync(join(this.#folder, "pid"), "utf8").trim();
      while (isAlive(pid)) await delay(LOOK_MS);
      await this.#runtime("delete", this.#id);
      await this.#deleteInterface();
    });
    this.#wasBooted = false;
    return took;
  }

  async remove(): Promise<number> {
    return timed(async () => {
      if (this.#wasBooted) {
        await this.#runtime("delete", "--force", this.#id);
        await this.#deleteInterface();
      }
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  /** The kernel may have taken it away with its namespace already. */
  async #deleteInterface(): Promise<void> {
    if (existsSync(`/sys/class/net/${this.#interface}`))
      await run("ip", ["link", "delete", this.#interface]).catch(() => undefined);
  }

  #runtime(...args: string[]): Promise<unknown> {
    return run(this.#parts.runtime, ["--root", join(this.#folder, "state"), ...args]);
  }
}

/** Not when only its unreaped remains are left: when those go is the host's own affair. */
function isAlive(pid: string): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
