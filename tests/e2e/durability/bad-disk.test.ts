import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  openSync,
  closeSync,
  copyFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Aegis } from "../aegis-fixture.ts";
import { notInVm } from "../driver-host.ts";
import { importImages } from "../fixture-images.ts";
import { noteInRun } from "../run-notes.ts";
import { bundleDaemon, CrashingDaemon } from "./crashing-daemon.ts";

const SERVER = ["httpd", "-f", "-p", "8080", "-h", "/www"];

describe("a disk that fails", () => {
  let disk: SmallDisk | null = null;
  afterEach(async () => {
    await disk?.remove();
    disk = null;
  });

  it("full: what runs goes on, wakes and stops; what needs room says so; with room all works again", async () => {
    disk = await SmallDisk.make();
    const { aegis } = disk;
    const { instances } = aegis.client;
    const one = await aegis.boot({ handle: "one", command: SERVER, exposes: [8080] });
    const two = await aegis.boot({ handle: "two", command: SERVER, exposes: [8080] });
    await instances.stop(two.id);
    await instances.pause(one.id);
    disk.fill();
    const url = String(one.endpoints[0]?.url);
    expect(await (await fetch(url)).text()).toBe("hello from inside\n");
    expect(await instances.get(one.id)).toMatchObject({ state: "running", failure: null });
    for (let round = 0; round < 20; round++) {
      await instances.pause(one.id);
      expect(await (await fetch(url)).text()).toBe("hello from inside\n");
    }
    expect(await aegis.sh(one.id, "echo in there")).toBe("in there");
    await expect(createUntilRefused(aegis)).rejects.toMatchObject({
      code: "disk_full",
      message: expect.stringMatching(/disk is full.*Free/s),
    });
    await disk.restart();
    // what was written down last, while there was room, is that it was paused: the daemon has to look, and has no room for an
    // event that says what it saw
    await vi.waitFor(async () => expect(await instances.get(one.id)).toMatchObject({ state: "running" }), 30_000);
    expect(await (await fetch(url)).text()).toBe("hello from inside\n");
    disk.free();
    await instances.start(two.id);
    expect(await aegis.sh(two.id, "echo again")).toBe("again");
    expect((await instances.list()).map(({ handle }) => handle)).toEqual(expect.arrayContaining(["one", "two"]));
  });

  it("full, by an instance with a workspace on it: the instance is told, and the daemon and the others go on", async () => {
    disk = await SmallDisk.make();
    const { aegis } = disk;
    const neighbour = await aegis.boot({ handle: "neighbour", command: SERVER, exposes: [8080] });
    const { id } = await aegis.boot({ handle: "greedy", command: ["sleep", "infinity"], workspace: "shared" });
    const filled = await aegis.exec(id, ["sh", "-c", "cat /dev/zero > /workspace/x"]);
    expect([filled.code, filled.stderr]).toEqual([1, expect.stringMatching(/no space left/i)]);
    expect((await aegis.client.status()).status).toBe("running");
    expect(await (await fetch(String(neighbour.endpoints[0]?.url))).text()).toBe("hello from inside\n");
    expect(await aegis.sh(neighbour.id, "echo fine")).toBe("fine");
    await aegis.client.instances.pause(neighbour.id);
    expect(await (await fetch(String(neighbour.endpoints[0]?.url))).text()).toBe("hello from inside\n");
    // what a removed file took is free a moment later where the folder is shared with a virtual machine
    const write = "until echo mine > /workspace/y; do sleep 0.1; done 2> /dev/null";
    expect(await aegis.sh(id, `rm /workspace/x; ${write}; cat /workspace/y`)).toBe("mine");
    await disk.restart();
    expect(await aegis.sh(id, "cat /workspace/y")).toBe("mine");
    expect(await aegis.boot({ command: ["true"] })).toMatchObject({ failure: null });
  });

  it("read-only: the daemon says so and changes nothing, what runs goes on", async (test) => {
    notInVm("while QEMU has a disk open, nothing can make the file system below it read-only")(test);
    disk = await SmallDisk.make();
    const { aegis } = disk;
    const { id } = await aegis.boot({ command: ["sleep", "infinity"] });
    await disk.kill9();
    disk.mount("remount,bind,ro");
    const said = await disk.failingStart();
    expect(said).toMatch(/read-only/i);
    expect(said).not.toMatch(/ {4}at /);
    expect(disk.processes(id)).toBeGreaterThan(0);
    disk.mount("remount,bind,rw");
    await disk.start();
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
    expect(await aegis.sh(id, "echo fine")).toBe("fine");
  });

  it.each([
    ["overwritten", (file: string) => overwrite(file)],
    ["cut short", (file: string) => truncateSync(file, Math.floor(statSync(file).size / 3))],
    [
      "no database at all",
      (file: string) => writeFileSync(file, "this is not a database, only a text that is long enough".repeat(100)),
    ],
  ])(
    "a state file that is %s: the daemon says what to do, deletes nothing, and what runs goes on",
    async (_, damage) => {
      disk = await SmallDisk.make();
      const { aegis } = disk;
      const { id } = await aegis.boot({ handle: "kept", command: ["sleep", "infinity"] });
      await aegis.sh(id, "echo kept > /root/kept");
      await disk.restart();
      await disk.kill9();
      const file = join(aegis.home, "data/aegis.db");
      const backup = join(aegis.home, "backup");
      mkdirSync(backup);
      for (const end of ["", "-wal"]) if (existsSync(file + end)) copyFileSync(file + end, join(backup, `db${end}`));
      for (const end of ["-wal", "-shm"]) rmSync(file + end, { force: true });
      damage(file);
      const damaged = readFileSync(file);
      const said = await disk.failingStart();
      expect(said).toMatch(/aegis\.db/);
      expect(said).toMatch(/Nothing was (changed|ended or deleted).*backup/s);
      // less than a page is no file yet for SQLite, which then writes its first one
      if (damaged.length >= 4096) expect(readFileSync(file).equals(damaged)).toBe(true);
      expect(disk.processes(id)).toBeGreaterThan(0);
      expect(existsSync(join(aegis.home, "data/instances", id, "disk"))).toBe(true);
      for (const end of ["", "-wal"])
        if (existsSync(join(backup, `db${end}`))) copyFileSync(join(backup, `db${end}`), file + end);
      await disk.start();
      expect(await aegis.sh("kept", "cat /root/kept")).toBe("kept");
    },
  );
});

/** Makes instances until there is no room for another one. */
async function createUntilRefused(aegis: Aegis): Promise<void> {
  for (let n = 0; n < 200; n++) {
    const { id } = await aegis.client.instances.create({ command: ["true"] });
    await aegis.client.instances.start(id);
  }
}

function overwrite(file: string): void {
  const fd = openSync(file, "r+");
  try {
    writeSync(fd, Buffer.alloc(Math.min(statSync(file).size - 100, 20_000), 0xa5), 0, undefined, 100);
  } finally {
    closeSync(fd);
  }
}

/** A home on a file system of its own, small and in memory. */
class SmallDisk {
  readonly aegis: Aegis;
  readonly #folder: string;
  readonly #bundle = bundleDaemon();
  readonly #strike: () => void;
  #daemon: CrashingDaemon | null = null;

  static async make(): Promise<SmallDisk> {
    const disk = new SmallDisk();
    try {
      await disk.start();
      await importImages(disk.aegis.client, ["busybox"]);
      return disk;
    } catch (error) {
      await disk.remove();
      throw error;
    }
  }

  constructor() {
    this.#folder = mkdtempSync("/tmp/aegis-disk-");
    const commands = [
      ["/bin/umount", this.#folder],
      ["rm", "-rf", this.#folder, this.#log],
    ];
    this.#strike = noteInRun({ kind: "undo", commands });
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=48m,mode=0755", "aegis-test", this.#folder]);
    this.aegis = new Aegis(join(this.#folder, "home"), {});
  }

  async start(): Promise<void> {
    this.#daemon = this.#launch();
    await this.#daemon.ready();
    this.aegis.remember();
  }

  /** @returns what a daemon that cannot start says */
  async failingStart(): Promise<string> {
    this.#daemon = this.#launch();
    await expect(this.#daemon.ready()).rejects.toThrow();
    return readFileSync(this.#log, "utf8").split("---\n").at(-1) ?? "";
  }

  #launch(): CrashingDaemon {
    writeFileSync(this.#log, "---\n", { flag: "a" });
    return new CrashingDaemon({
      home: this.aegis.home,
      env: this.aegis.env,
      bundle: this.#bundle.file,
      log: this.#log,
    });
  }

  get #log(): string {
    return `${this.#folder}.log`;
  }

  async kill9(): Promise<void> {
    await this.#daemon?.kill9();
  }

  async restart(): Promise<void> {
    await this.kill9();
    await this.start();
  }

  mount(options: string): void {
    execFileSync("/bin/mount", ["-o", options, this.#folder]);
  }

  fill(): void {
    execFileSync("sh", ["-c", 'cat /dev/zero > "$0" 2> /dev/null || true', join(this.#folder, "filler")]);
  }

  free(): void {
    rmSync(join(this.#folder, "filler"));
  }

  /** How many processes an instance has. */
  processes(id: string): number {
    return Number(
      execFileSync("sh", ["-c", `grep -l "/aegis/[^/]*/${id}" /proc/[0-9]*/cgroup 2> /dev/null | wc -l`], {
        encoding: "utf8",
      }),
    );
  }

  async remove(): Promise<void> {
    this.mount("remount,bind,rw");
    rmSync(join(this.#folder, "filler"), { force: true });
    if (this.#daemon === null || this.#daemon.ended) await this.start();
    await this.aegis.client.shutdown({ stopInstances: true });
    await this.#daemon?.exited;
    execFileSync("/bin/umount", [this.#folder]);
    rmSync(this.#folder, { recursive: true });
    rmSync(this.#log, { force: true });
    this.#bundle.remove();
    this.#strike();
    expect(await this.aegis.leftovers()).toEqual([]);
  }
}
