import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Image } from "../../../packages/daemon/src/core/images.ts";
import { ImageStore } from "../../../packages/daemon/src/images/image-store.ts";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { startRegistry, type Registry } from "../registry.ts";
import { busyboxLayer, pushTestImage, writeTestImage, type TestLayer } from "../test-image.ts";

const idMap = { uid: 1_000_000, gid: 1_000_000, size: 65_536 };
const everything = () => true;
const nothing = () => undefined;

/** A layer that makes an image another one. */
const mark = (text: string): TestLayer => ({ fill: (folder) => writeFile(join(folder, "mark"), text) });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "aegis-prune-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function layoutOf(text: string): Promise<string> {
  const layout = await mkdtemp(join(folder, "layout-"));
  await writeTestImage(layout, [busyboxLayer, mark(text)]);
  return layout;
}

describe("an image store", () => {
  let registry: Registry;
  let root: string;
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());
  beforeEach(async () => {
    root = join(folder, "store");
    await mkdir(root);
  });

  /** A store as one home sees it. */
  async function homeStore(name: string): Promise<ImageStore> {
    const home = join(folder, name);
    await mkdir(join(home, "data"), { recursive: true });
    await writeFile(join(home, "data/aegis.db"), "");
    return new ImageStore({ root, idMap, home: { root: home, key: name } });
  }

  const use = (store: ImageStore, ref: string, digest: string | null = null): Promise<Image> =>
    store.use({ ref, digest, onPull: nothing }, nothing);
  const unpacked = async () => (await readdir(join(root, "unpacked"))).length;
  const blobs = async () => (await readdir(join(root, "oci/blobs/sha256"))).length;

  async function pushed(name: string): Promise<string> {
    const ref = `${registry.host}/${name}`;
    await pushTestImage(await layoutOf(name), ref);
    return ref;
  }

  it("prunes what nobody claims, says what that freed, and leaves what was made here unless asked", async () => {
    const store = await homeStore("one");
    const ref = await pushed("team/pulled:1");
    await store.ensure(ref);
    await store.importLayout(await layoutOf("made"), "made/here:1");
    await store.keep(() => ["used:1"]);
    await store.importLayout(await layoutOf("used"), "used:1");
    const before = await store.size();
    const first = await store.prune(({ madeHere }) => !madeHere);
    expect(first.deleted).toEqual([ref]);
    expect(before - (await store.size())).toBe(first.freedBytes);
    expect(first.freedBytes).toBeGreaterThan(500_000);
    expect((await store.prune(everything)).deleted).toEqual(["docker.io/made/here:1"]);
    expect((await store.list()).flatMap(({ refs }) => refs)).toEqual(["docker.io/library/used:1"]);
    expect(await unpacked()).toBe(1);
  });

  it("goes by when an image was used last", async () => {
    const store = await homeStore("one");
    await store.importLayout(await layoutOf("a"), "a:1");
    const young = Date.now() - 3_600_000;
    const old = await store.prune(({ usedAt }) => usedAt.getTime() < young);
    expect(old).toEqual({ deleted: [], freedBytes: 0 });
  });

  it("keeps an image whose name has moved on for those who boot from it, also in the next daemon", async () => {
    const store = await homeStore("one");
    await store.importLayout(await layoutOf("first"), "moving:1");
    const digests = new Set<string>();
    await store.keep(() => digests);
    const first = await store.use({ ref: "moving:1", digest: null, onPull: nothing }, ({ digest }) =>
      digests.add(digest),
    );
    await store.importLayout(await layoutOf("second"), "moving:1");
    await store.prune(() => false);
    const next = await homeStore("one");
    await next.keep(() => digests);
    expect((await use(next, "moving:1", first.digest)).rootfs).toBe(first.rootfs);
    expect(existsSync(join(first.rootfs, "bin/busybox"))).toBe(true);
    expect((await next.list()).map(({ refs }) => refs)).toEqual([["docker.io/library/moving:1"], []]);
    digests.clear();
    expect((await next.prune(() => false)).freedBytes).toBeGreaterThan(0);
    expect(existsSync(first.rootfs)).toBe(false);
    expect((await use(next, "moving:1", first.digest)).digest).not.toBe(first.digest);
  });

  it("does not take from another home what that one uses, until that home is gone", async () => {
    const [one, two] = [await homeStore("one"), await homeStore("two")];
    const ref = await pushed("team/shared:1");
    const { rootfs } = await use(two, ref);
    await two.keep(() => ["local:1"]);
    await two.importLayout(await layoutOf("local"), "local:1");
    await use(two, ref);
    expect((await one.prune(everything)).deleted).toEqual([]);
    await expect(one.remove(ref)).rejects.toMatchObject({
      code: "image_in_use",
      message: expect.stringContaining(join(folder, "two")),
    });
    expect(existsSync(rootfs)).toBe(true);
    await rm(join(folder, "two"), { recursive: true });
    expect((await one.prune(everything)).deleted.toSorted()).toEqual([ref, "docker.io/library/local:1"].toSorted());
    expect(await readdir(join(root, "users"))).toEqual([]);
    expect([await unpacked(), await blobs()]).toEqual([0, 0]);
  });

  it("never takes an image from a boot or a pull that goes on", async () => {
    const [one, two] = [await homeStore("one"), await homeStore("two")];
    const ref = await pushed("team/contested:1");
    const used = new Set<string>();
    await one.keep(() => used);
    let pruned = 0;
    for (let boot = 0; boot < 12; boot++) {
      used.clear();
      const prunes = [one, two].map((store) => store.prune(everything));
      const using = one.use({ ref, digest: null, onPull: nothing }, ({ digest }) => used.add(digest));
      const [image] = await Promise.all([using, two.ensure(ref)]);
      for (const { deleted } of await Promise.all(prunes)) pruned += deleted.length;
      expect(existsSync(join(image.rootfs, "bin/busybox")), `boot ${boot}`).toBe(true);
    }
    expect(pruned).toBeGreaterThan(0);
    expect(await readdir(join(root, "tmp"))).toEqual([]);
  });

  it("prunes the names of damaged images", async () => {
    const store = await homeStore("one");
    const { digest } = await store.importLayout(await layoutOf("damaged"), "damaged:1");
    await writeFile(join(root, "oci/blobs", digest.replace(":", "/")), "{}");
    expect((await store.prune(() => false)).deleted).toEqual(["docker.io/library/damaged:1"]);
    expect([await unpacked(), await blobs()]).toEqual([0, 0]);
  });
});

describe("a daemon", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());

  async function importAs(ref: string, text: string): Promise<void> {
    for await (const step of aegis.client.images.pull({ ref, layout: await layoutOf(text) })) void step;
  }

  it("boots an instance from the image that it had before, and prunes no image of an instance", async () => {
    await importAs("moving:1", "first");
    const { id, image_digest } = await aegis.boot({ command: ["sleep", "1000"], image_ref: "moving:1" });
    await aegis.sh(id, "echo mine > /mine");
    await importAs("moving:1", "second");
    await aegis.restart();
    await aegis.client.images.prune({ all: true });
    expect(await aegis.sh(id, "cat /mark /mine")).toBe("firstmine");
    await aegis.client.instances.stop(id);
    await aegis.client.images.prune({ all: true });
    await aegis.client.instances.start(id);
    expect(await aegis.sh(id, "cat /mark /mine")).toBe("firstmine");
    expect(await aegis.client.instances.get(id)).toMatchObject({ image_digest });
    const other = await aegis.boot({ command: ["sleep", "1000"], image_ref: "moving:1" });
    expect(await aegis.sh(other.id, "cat /mark")).toBe("second");
    await expect(aegis.client.images.delete("moving:1")).rejects.toMatchObject({ code: "image_in_use" });
    await aegis.client.instances.delete(id);
    await aegis.client.instances.delete(other.id);
    const { deleted, freed_bytes } = await aegis.client.images.prune({ all: true });
    expect(deleted).toEqual(["docker.io/library/moving:1"]);
    expect(freed_bytes).toBeGreaterThan(500_000);
    expect(await aegis.client.images.list()).toHaveLength(1); // the default image
    await aegis.boot({ command: ["true"] }).then(({ image_digest: digest }) => expect(digest).not.toBeNull());
  });
});
