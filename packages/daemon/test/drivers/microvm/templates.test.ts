import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { WarmSpec } from "../../../src/core/driver.ts";
import { Templates, type TemplateDraft } from "../../../src/drivers/microvm/templates.ts";

let folder = "";
let spec: WarmSpec;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aegis-templates-"));
  const image = { digest: "sha256:1", derived: join(folder, "derived") };
  spec = { image, rootfs: "/rootfs", user: "", memoryMb: 128, vcpus: 1, diskMb: 1024, readOnlyRoot: false };
});
afterEach(() => rmSync(folder, { recursive: true }));

const kept = (): string[] => readdirSync(join(spec.image.derived, "templates"));

const fill = async ({ diskFolder }: TemplateDraft): Promise<void> => {
  mkdirSync(diskFolder);
  writeFileSync(join(diskFolder, "image.ext4"), "disk");
};

it("is found by what a machine is made of, and on the platform that it was made on", async () => {
  const templates = new Templates("one");
  expect(await templates.find(spec)).toBeNull();
  await templates.make(spec, fill);
  const template = await templates.find(spec);
  expect(readFileSync((await template?.copyDisk(join(folder, "disk"))) ?? "", "utf8")).toBe("disk");
  for (const other of [{ memoryMb: 256 }, { vcpus: 2 }, { diskMb: 2048 }, { user: "1000" }, { readOnlyRoot: true }])
    expect(await templates.find({ ...spec, ...other })).toBeNull();
  expect(await new Templates("other").find(spec)).toBeNull();
});

it("is no use with a disk that was changed, without memory, or open to others", async () => {
  const templates = new Templates("one");
  await templates.make(spec, fill);
  const template = await templates.find(spec);
  await expect(template?.open()).rejects.toMatchObject({ code: "snapshot_unusable" });
  const made = templates.folderOf(spec);
  writeFileSync(join(made, "disk/image.ext4"), "changed");
  await expect(template?.copyDisk(join(folder, "disk"))).rejects.toMatchObject({ code: "snapshot_unusable" });
  expect(existsSync(join(folder, "disk"))).toBe(false);
  chmodSync(join(made, "template.json"), 0o640);
  expect(await templates.find(spec)).toBeNull();
  chmodSync(join(made, "template.json"), 0o600);
  writeFileSync(join(made, "template.json"), "{");
  expect(await templates.find(spec)).toBeNull();
});

it("leaves nothing of one that failed", async () => {
  const templates = new Templates("one");
  const failing = async (draft: TemplateDraft): Promise<void> => {
    await fill(draft);
    throw new Error("no");
  };
  await expect(templates.make(spec, failing)).rejects.toThrow("no");
  expect(kept()).toEqual([]);
});

it("clears away what a daemon had begun that was killed, and nothing that another one is making", async () => {
  const templates = new Templates("one");
  let living = "";
  await templates.make(spec, async (draft) => {
    await fill(draft);
    living = kept().find((name) => name.endsWith(".draft")) ?? "";
    const dead = living.replace(/-(\d+)-/, "-1-");
    expect(dead).not.toBe(living);
    cpSync(join(spec.image.derived, "templates", living), join(spec.image.derived, "templates", dead), {
      recursive: true,
    });
    const facts = { version: 1, platform: "one", key: "0".repeat(64), subject: "", disk: "" };
    writeFileSync(join(spec.image.derived, "templates", dead, "template.json"), JSON.stringify(facts));
    await templates.make({ ...spec, memoryMb: 256 }, fill);
    expect(kept()).toContain(living);
    expect(kept()).not.toContain(dead);
  });
  expect(kept()).toHaveLength(2);
});

it("keeps those of this platform that were used last, eight at most", async () => {
  await new Templates("old").make(spec, fill);
  const templates = new Templates("one");
  for (let memoryMb = 1; memoryMb <= 9; memoryMb++) {
    await templates.make({ ...spec, memoryMb }, fill);
    // some are made within one tick of the clock that the file system goes by
    utimesSync(templates.folderOf({ ...spec, memoryMb }), memoryMb, memoryMb);
  }
  expect(kept()).toHaveLength(8);
  expect(await templates.find({ ...spec, memoryMb: 1 })).toBeNull();
  expect(await templates.find({ ...spec, memoryMb: 9 })).not.toBeNull();
});
