import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makeDiskImage, imagePath } from "../../../../packages/daemon/src/drivers/linux/disk-image.ts";
import { freshFolder } from "../../../../packages/daemon/src/drivers/linux/fresh-folder.ts";
import { probeHarness } from "../../../../packages/daemon/src/drivers/linux/harness-probe.ts";
import { guestFiles } from "../../../../packages/daemon/src/drivers/microvm/guest-files.ts";
import { type Accelerator, qemuCommand } from "../../../../packages/daemon/src/drivers/microvm/qemu-command.ts";
import { QmpClient } from "../../../../packages/daemon/src/drivers/microvm/qmp-client.ts";
import { RootfsImages } from "../../../../packages/daemon/src/drivers/microvm/rootfs-image.ts";
import { SerialChannel } from "../../../../packages/daemon/src/drivers/microvm/serial-channel.ts";
import { sockets } from "../../../../packages/daemon/src/drivers/microvm/qemu-process.ts";

export interface BareSetup {
  folder: string;
  rootfs: string;
  harnessDir: string;
  vmDir: string;
  accelerator: Accelerator;
  memoryMb: number;
  diskMb: number;
}

const LOOK_MS = 2;
/** what Aegis wraps around QEMU, and nobody who starts it by hand does */
const CONFINEMENT = ["-sandbox", "-runas", "-add-fd"];

/** The machine that Aegis makes, by the same words, as a person would run it: without confinement, with its memory and its network in QEMU. */
export class BareQemu implements AsyncDisposable {
  readonly #setup: BareSetup;
  readonly #image: string;
  readonly #initramfs: string;
  #child: ChildProcess | null = null;
  #monitor: QmpClient | null = null;
  #channel: SerialChannel | null = null;

  private constructor(setup: BareSetup, image: string, initramfs: string) {
    this.#setup = setup;
    this.#image = image;
    this.#initramfs = initramfs;
  }

  /** Makes the files. Not timed: who runs machines by hand has them ready. */
  static async prepare(setup: BareSetup): Promise<BareQemu> {
    const { folder, rootfs, harnessDir, vmDir, memoryMb, diskMb } = setup;
    await mkdir(folder, { recursive: true });
    const image = await new RootfsImages().of(join(folder, "derived"), rootfs);
    const loader = (await readdir(join(harnessDir, "lib"))).find((name) => name.startsWith("ld-")) ?? "";
    const files = guestFiles({
      spec: { hostname: "bare", memoryMb, vcpus: 1, readOnlyRoot: false, workspace: null },
      user: { uid: 0, gid: 0, groups: [] },
      loader,
      network: { address: "10.0.2.15", gateway: "10.0.2.2" },
    });
    const initramfs = join(folder, "initramfs.cpio");
    await writeFile(initramfs, Buffer.concat([await readFile(join(vmDir, "initramfs.cpio")), files]));
    await freshFolder(join(folder, "layers"));
    await makeDiskImage(imagePath(folder), diskMb, join(folder, "layers"));
    return new BareQemu(setup, image, initramfs);
  }

  /** From the start of QEMU to a harness that answers. */
  async boot(): Promise<number> {
    const start = performance.now();
    await this.#start(false);
    await this.#qmp.execute("cont");
    await this.#answer();
    return performance.now() - start;
  }

  async pause(): Promise<number> {
    const start = performance.now();
    await this.#qmp.execute("stop");
    return performance.now() - start;
  }

  async resume(): Promise<number> {
    const start = performance.now();
    await this.#qmp.execute("cont");
    await this.#answer();
    return performance.now() - start;
  }

  /** Into a file, in the clear; then QEMU ends. */
  async writeDown(): Promise<number> {
    const start = performance.now();
    await this.#move("migrate", `exec:cat > ${this.#memory}`);
    await this.end();
    return performance.now() - start;
  }

  /** From the start of QEMU to a harness that answers. */
  async takeUp(): Promise<number> {
    const start = performance.now();
    await this.#start(true);
    await this.#move("migrate-incoming", `exec:cat ${this.#memory}`);
    await this.#qmp.execute("cont");
    await this.#answer();
    return performance.now() - start;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async end(): Promise<void> {
    this.#channel?.close();
    this.#monitor?.close();
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async #start(takesUp: boolean): Promise<void> {
    const { folder } = this.#setup;
    const [program = "", ...words] = this.#command(takesUp);
    for (const path of Object.values(sockets(folder))) await rm(path, { force: true });
    this.#child = spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] });
    this.#monitor = await this.#connected(() => QmpClient.connect(sockets(folder).monitor));
    this.#channel = await this.#connected(() => SerialChannel.connect(sockets(folder).harness));
  }

  /** QEMU makes its sockets some time after its start. */
  async #connected<T>(connect: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#child?.exitCode !== null) throw new Error("QEMU ended at once");
      const connected = await connect().catch(() => null);
      if (connected !== null) return connected;
      await delay(LOOK_MS);
    }
  }

  async #move(command: string, uri: string): Promise<void> {
    await this.#qmp.execute("migrate-set-capabilities", { capabilities: [{ capability: "events", state: true }] });
    await this.#qmp.execute("migrate-set-parameters", { "max-bandwidth": 64 * 1024 ** 3 });
    const ended = this.#qmp.migrationEnd();
    await this.#qmp.execute(command, { uri });
    await ended;
  }

  async #answer(): Promise<void> {
    if (this.#channel === null) throw new Error("QEMU was not started");
    await probeHarness(this.#channel.dial());
  }

  get #qmp(): QmpClient {
    if (this.#monitor === null) throw new Error("QEMU was not started");
    return this.#monitor;
  }

  get #memory(): string {
    return join(this.#setup.folder, "memory");
  }

  #command(takesUp: boolean): string[] {
    const { folder, vmDir, accelerator, memoryMb } = this.#setup;
    const words = qemuCommand({
      program: "qemu-system-x86_64",
      accelerator,
      vmDir,
      initramfs: takesUp ? null : this.#initramfs,
      image: this.#image,
      memoryMb,
      vcpus: 1,
      interfaceName: "none",
      user: 0,
      workspaceSocket: null,
    });
    return words
      .filter((word, at) => !CONFINEMENT.includes(word) && !CONFINEMENT.includes(words[at - 1] ?? ""))
      .map((word) =>
        word
          .replace(/^memory-backend-file,(id=memory,size=\w+),.*/, "memory-backend-ram,$1")
          .replace(/^tap,id=net,.*/, "user,id=net,restrict=on")
          .replace(/^socket,id=(\w+),fd=\d+,/, `socket,id=$1,path=${folder}/$1.sock,`)
          .replace("file=/dev/fdset/1", `file=${imagePath(folder)}`),
      );
  }
}
