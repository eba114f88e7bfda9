import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImageStore, type ImageStoreSettings } from "../../../packages/daemon/src/images/image-store.ts";
import { freePort, startRegistry, type Registry } from "../registry.ts";
import { busyboxLayer, pushTestImage, writeTestImage, type TestLayer } from "../test-image.ts";

const run = promisify(execFile);
const idMap = { uid: 1_000_000, gid: 1_000_000, size: 65_536 };
const CONFIG = { Env: ["PATH=/bin", "NAME=a=b"], Cmd: ["/bin/sh"], User: "app", WorkingDir: "/workspace" };
const ABSENT = `sha256:${"0".repeat(64)}`;

const fileLayer = (files: Record<string, string | Buffer>): TestLayer => ({
  async fill(folder) {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(folder, name, ".."), { recursive: true });
      await writeFile(join(folder, name), content);
    }
  },
});

describe("image store", () => {
  let registry: Registry;
  let shared: string;
  let folder: string;
  let root: string;
  let digest: string;

  beforeAll(async () => {
    registry = await startRegistry();
    shared = await mkdtemp(join(tmpdir(), "aegis-images-"));
    digest = await push("team/busybox:1", [busyboxLayer], CONFIG);
  });
  afterAll(async () => {
    await registry.stop();
    await rm(shared, { recursive: true, force: true });
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "aegis-images-"));
    root = join(folder, "store");
  });
  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  /** Pushes an image and returns the digest that the registry knows it by. */
  async function push(name: string, layers: TestLayer[], config: object = {}, ...options: string[]): Promise<string> {
    const layout = await mkdtemp(join(shared, "layout-"));
    await writeTestImage(layout, layers, config);
    await pushTestImage(layout, `${registry.host}/${name}`, ...options);
    const accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    const [repository, tag] = name.split(":");
    const answer = await fetch(`${registry.url}/v2/${repository}/manifests/${tag}`, { headers: { accept } });
    return answer.headers.get("docker-content-digest") ?? "";
  }

  const store = (settings: Partial<ImageStoreSettings> = {}) => new ImageStore({ root, idMap, ...settings });
  const leftovers = async () => [...(await readdir(join(root, "tmp"))), ...(await readdir(join(root, "unpacked")))];

  it("pulls by tag: the files, their owner, the config, the mount points", async () => {
    const phases = new Set<string>();
    const image = await store().ensure(`${registry.host}/team/busybox:1`, ({ phase }) => phases.add(phase));
    expect([...phases]).toEqual(["resolve", "download", "unpack", "finish"]);
    expect(image).toMatchObject({ refs: [`${registry.host}/team/busybox:1`], digest });
    expect(image.config).toEqual({
      env: ["PATH=/bin", "NAME=a=b"],
      entrypoint: [],
      cmd: ["/bin/sh"],
      user: "app",
      workingDir: "/workspace",
    });
    expect(await stat(join(image.rootfs, "bin/busybox"))).toMatchObject({ uid: idMap.uid, gid: idMap.gid });
    for (const name of ["proc", "dev", "sys", "tmp", "workspace", ".aegis", "run", "etc"]) {
      const found = await stat(join(image.rootfs, name));
      expect({ name, folder: found.isDirectory(), uid: found.uid }).toEqual({ name, folder: true, uid: idMap.uid });
    }
    for (const name of ["resolv.conf", "hosts", "hostname"]) await stat(join(image.rootfs, "etc", name));
    expect(await readdir(join(root, "tmp"))).toEqual([]);
  });

  it("pulls by digest, and finds it by name, digest and prefix of the digest", async () => {
    const ref = `${registry.host}/team/busybox@${digest}`;
    const image = await store().ensure(ref);
    expect(image.digest).toBe(digest);
    for (const name of [ref, digest, digest.slice(0, 20), digest.slice(7, 15)]) {
      expect({ name, digest: (await store().find(name))?.digest }).toEqual({ name, digest });
    }
    expect(await store().find("sha256:00000000")).toBeNull();
  });

  it("does not ask a registry for what it has", async () => {
    const gone = await startRegistry();
    const layout = join(folder, "layout");
    await writeTestImage(layout, [busyboxLayer]);
    await pushTestImage(layout, `${gone.host}/a:1`);
    await store().ensure(`${gone.host}/a:1`);
    await gone.stop();
    expect((await store().ensure(`${gone.host}/a:1`)).refs).toEqual([`${gone.host}/a:1`]);
  });

  it("takes docker.io's images from a mirror, and passes over a mirror that is down", async () => {
    await push("library/busybox:1", [busyboxLayer]);
    const mirrors = { "docker.io": [`http://127.0.0.1:${await freePort()}`, registry.url] };
    const image = await store({ mirrors }).ensure("busybox:1");
    expect(image.refs).toEqual(["docker.io/library/busybox:1"]);
  });

  it("keeps a docker-format image findable by the registry's digest", async () => {
    const theirs = await push("team/docker:1", [busyboxLayer], CONFIG, "--format=v2s2");
    const image = await store().ensure(`${registry.host}/team/docker@${theirs}`);
    expect(image.digest).not.toBe(theirs);
    expect((await store().find(theirs))?.digest).toBe(image.digest);
    expect((await store().ensure(`${registry.host}/team/docker@${theirs}`)).digest).toBe(image.digest);
  });

  it.each(["team/none:1", `team/busybox@${ABSENT}`, "team/busybox:2"])("says that %s is not there", async (name) => {
    await expect(store().ensure(`${registry.host}/${name}`)).rejects.toMatchObject({
      code: "image_not_found",
      message: expect.stringContaining(name),
    });
    expect(await leftovers()).toEqual([]);
  });

  it("never asks a registry for what is only made here", async () => {
    const mirrors = { "docker.io": [registry.url] };
    await expect(store({ mirrors }).ensure("aegis/claw:1")).rejects.toMatchObject({ code: "image_not_found" });
    await expect(store().ensure("localhost/claw:1")).rejects.toMatchObject({ code: "image_not_found" });
    await expect(store().ensure(ABSENT)).rejects.toMatchObject({ code: "image_not_found" });
  });

  it("refuses a manifest that does not match the digest", async () => {
    const liar = createServer((request, answer) => {
      const body = request.url === "/v2/" ? "{}" : JSON.stringify({ schemaVersion: 2, config: {}, layers: [] });
      answer.setHeader("content-type", "application/vnd.oci.image.manifest.v1+json").end(body);
    });
    liar.listen(0, "127.0.0.1");
    await once(liar, "listening");
    const address = liar.address();
    const port = typeof address === "object" ? address?.port : undefined;
    try {
      await expect(store().ensure(`127.0.0.1:${port}/team/busybox@${digest}`)).rejects.toMatchObject({
        code: "image_invalid",
        message: expect.stringContaining("does not match the digest"),
      });
    } finally {
      liar.close();
    }
    expect(await leftovers()).toEqual([]);
  });

  it("refuses a layer that does not match its digest", async () => {
    const content = randomBytes(4096);
    await push("team/corrupt:1", [fileLayer({ data: content })]);
    const manifest = await (
      await fetch(`${registry.url}/v2/team/corrupt/manifests/1`, {
        headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
      })
    ).text();
    const hex = /tar\+gzip","digest":"sha256:([0-9a-f]{64})/.exec(manifest)?.[1] ?? "";
    const blob = join(registry.storage, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
    const bytes = await readFile(blob);
    bytes.writeUInt8(bytes.readUInt8(2000) ^ 0xff, 2000);
    await writeFile(blob, bytes);
    await expect(store().ensure(`${registry.host}/team/corrupt:1`)).rejects.toMatchObject({ code: "image_invalid" });
    expect(await leftovers()).toEqual([]);
  });

  it("says that a registry is down", async () => {
    await expect(store().ensure(`127.0.0.1:${await freePort()}/team/busybox:1`)).rejects.toMatchObject({
      code: "registry_failed",
      message: expect.stringContaining("connection refused"),
    });
  });

  it("pulls an image again that was damaged in the store", async () => {
    const ref = `${registry.host}/team/busybox:1`;
    await store().ensure(ref);
    await writeFile(join(root, "oci/blobs", digest.replace(":", "/")), "{}");
    expect(await store().find(ref)).toBeNull();
    expect(await store().list()).toEqual([]);
    expect((await store().ensure(ref)).digest).toBe(digest);
    await rm(join(root, "unpacked"), { recursive: true });
    expect((await store().ensure(ref)).digest).toBe(digest);
  });

  it("refuses a malformed reference", async () => {
    await expect(store().ensure("Team/Busybox")).rejects.toMatchObject({ code: "invalid_request" });
  });

  it.each(["download", "unpack"])("goes on after the puller was killed at %s", async (phase) => {
    await push("team/large:1", [busyboxLayer, fileLayer({ data: randomBytes(32 * 1024 * 1024) })]);
    const ref = `${registry.host}/team/large:1`;
    const script = join(folder, "pull.mjs");
    const module = new URL("../../../packages/daemon/src/images/image-store.ts", import.meta.url).href;
    await writeFile(
      script,
      `import { ImageStore } from ${JSON.stringify(module)};
       const store = new ImageStore(${JSON.stringify({ root, idMap })});
       const end = () => process.kill(process.pid, "SIGKILL");
       await store.ensure(${JSON.stringify(ref)}, ({ phase }) => phase === ${JSON.stringify(phase)} && setTimeout(end, 5));`,
    );
    const puller = spawn(process.execPath, [script], { stdio: ["ignore", "ignore", "inherit"] });
    expect((await once(puller, "exit"))[1]).toBe("SIGKILL");
    expect(await store().find(ref)).toBeNull();
    const image = await store().ensure(ref);
    expect((await stat(join(image.rootfs, "data"))).size).toBe(32 * 1024 * 1024);
    expect(await readdir(join(root, "tmp"))).toEqual([]);
  });

  it("shares one download, and aborts it when nobody wants it any more", async () => {
    const ref = `${registry.host}/team/busybox:1`;
    const here = store();
    const first = new AbortController();
    const impatient = here.ensure(ref, () => first.abort(new Error("enough")), first.signal);
    const patient = here.ensure(ref);
    await expect(impatient).rejects.toThrow("enough");
    expect((await patient).digest).toBe(digest);
    await here.remove(ref);
    const alone = new AbortController();
    await expect(here.ensure(ref, () => alone.abort(new Error("enough")), alone.signal)).rejects.toThrow("enough");
    expect(await leftovers()).toEqual([]);
  });

  it("is shared by two stores that pull at the same time", async () => {
    const ref = `${registry.host}/team/busybox:1`;
    const [one, two] = await Promise.all([store().ensure(ref), store().ensure(ref)]);
    expect(one).toEqual(two);
    expect(await store().list()).toHaveLength(1);
  });

  it("says that the disk is full, and leaves nothing behind", async () => {
    await push("team/full:1", [fileLayer({ data: randomBytes(8 * 1024 * 1024) })]);
    await mkdir(root);
    await run("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", root]);
    try {
      await expect(store().ensure(`${registry.host}/team/full:1`)).rejects.toMatchObject({ code: "disk_full" });
      expect(await leftovers()).toEqual([]);
      expect(await readdir(join(root, "oci/blobs/sha256"))).toEqual([]);
      await store().ensure(`${registry.host}/team/busybox:1`);
    } finally {
      await run("umount", [root]);
    }
  });

  it.each([
    { tool: "tar", third: fileLayer({ ".wh.d": "" }), c: "folder" },
    { tool: "umoci", third: { ...fileLayer({ c: "3", ".wh.d": "" }), entries: ["c", ".wh.d"] }, c: "file" },
  ])("applies layers as they are meant, with $tool: whiteouts, opaque folders", async ({ tool, third, c }) => {
    const name = `team/layers-${tool}:1`;
    await push(name, [
      fileLayer({
        "a/gone": "1",
        "a/kept": "1",
        "b/old": "1",
        "b/sub/old": "1",
        "c/file": "1",
        "dev/null": "x",
        d: "1",
      }),
      fileLayer({ "a/.wh.gone": "", "b/.wh..wh..opq": "", "b/new": "2", "d/file": "2" }),
      third,
    ]);
    const messages: string[] = [];
    const { rootfs } = await store().ensure(`${registry.host}/${name}`, ({ message }) => messages.push(message));
    expect(messages.some((message) => message.includes("umoci"))).toBe(tool === "umoci");
    expect(await readdir(join(rootfs, "a"))).toEqual(["kept"]);
    expect(await readdir(join(rootfs, "b"))).toEqual(["new"]);
    expect((await stat(join(rootfs, "c"))).isDirectory() ? "folder" : "file").toBe(c);
    await expect(stat(join(rootfs, "d"))).rejects.toThrow("ENOENT");
    const owners = (await run("find", [rootfs, "!", "-uid", String(idMap.uid)])).stdout;
    expect(owners).toBe("");
  });

  it("does not follow a hostile image's links out of its folder", async () => {
    const host = join(folder, "host");
    await mkdir(host);
    await chmod(host, 0o777);
    await chmod(folder, 0o755);
    const links: TestLayer = {
      async fill(layer) {
        await symlink(host, join(layer, "etc"));
        await symlink(host, join(layer, "workspace"));
        await symlink(`../../../../../../../..${host}`, join(layer, "up"));
        await writeFile(join(layer, "run"), "not a folder");
      },
    };
    const through: TestLayer = {
      ...fileLayer({ "etc/evil": "1", "up/evil": "1" }),
      entries: ["etc/evil", "up/evil"],
    };
    const outside = (target: string): TestLayer => ({
      ...fileLayer({ evil: "1" }),
      entries: [`--transform=s,^evil,${target}/evil,`, "evil"],
    });
    await push("team/links:1", [busyboxLayer, links]);
    const { rootfs } = await store().ensure(`${registry.host}/team/links:1`);
    for (const name of ["etc", "workspace", "run"]) expect((await stat(join(rootfs, name))).isDirectory()).toBe(true);
    await push("team/through:1", [busyboxLayer, links, through]);
    await push("team/absolute:1", [busyboxLayer, outside(host)]);
    await push("team/relative:1", [busyboxLayer, outside(`../../../../../../../..${host}`)]);
    await push("team/whiteout:1", [
      busyboxLayer,
      links,
      { ...fileLayer({ "etc/.wh.kept": "" }), entries: ["etc/.wh.kept"] },
    ]);
    await push("team/dots:1", [busyboxLayer, fileLayer({ "x/.wh...": "", "x/.wh..": "" })]);
    await writeFile(join(host, "kept"), "1");
    for (const name of ["through", "absolute", "relative", "whiteout", "dots"]) {
      await store()
        .ensure(`${registry.host}/team/${name}:1`)
        .catch((error: unknown) => {
          expect(error).toMatchObject({ code: "image_invalid" });
        });
    }
    expect(await readdir(host)).toEqual(["kept"]);
    expect((await readdir(root)).toSorted()).toEqual(["locks", "oci", "tmp", "unpacked", "users"]);
    expect(await readdir(join(root, "tmp"))).toEqual([]);
  });

  it("removes a name, and with the last name the image", async () => {
    const here = store();
    const tagged = `${registry.host}/team/busybox:1`;
    const { rootfs } = await here.ensure(tagged);
    await here.ensure(`${registry.host}/team/busybox@${digest}`);
    expect((await here.list())[0]?.refs).toHaveLength(2);
    await here.remove(tagged);
    await stat(rootfs);
    expect(await here.find(tagged)).toBeNull();
    await here.remove(digest.slice(7, 19));
    await expect(stat(rootfs)).rejects.toThrow("ENOENT");
    expect(await readdir(join(root, "oci/blobs/sha256"))).toEqual([]);
    await expect(here.remove(tagged)).rejects.toMatchObject({ code: "image_not_found" });
  });

  it("imports a layout under a local name, again after a change", async () => {
    const here = store();
    const layout = join(folder, "layout");
    const first = await writeTestImage(layout, [busyboxLayer], CONFIG);
    expect(await here.importLayout(layout, "aegis/claw:1")).toMatchObject({ digest: first });
    const second = await writeTestImage(layout, [busyboxLayer, fileLayer({ more: "1" })]);
    expect(await here.importLayout(layout, "aegis/claw:1")).toMatchObject({ digest: second });
    expect((await here.ensure("aegis/claw:1")).digest).toBe(second);
    await expect(here.importLayout(folder, "aegis/claw:2")).rejects.toMatchObject({ code: "image_invalid" });
  });
});
