import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type SnapshotFacts, SnapshotFolder } from "../../../src/drivers/microvm/snapshot-store.ts";

const FACTS: SnapshotFacts = {
  version: 2,
  id: "one",
  platform: "qemu",
  memoryMb: 128,
  vcpus: 1,
  image: "sha256:1",
  address: "10.209.0.2",
  disk: "1:2:3",
};

let folder = "";
let snapshot: SnapshotFolder;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "aegis-snapshot-"));
  snapshot = new SnapshotFolder(folder);
  await snapshot.writeFacts(FACTS);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("can be taken up as often as a daemon dies over it", async () => {
  await snapshot.claim();
  const later = new SnapshotFolder(folder);
  expect(await later.readFacts()).toEqual(FACTS);
  await later.claim();
  expect(await later.readFacts()).toEqual(FACTS);
});

it("is of no use once it was used up", async () => {
  await snapshot.claim();
  await snapshot.useUp();
  await expect(snapshot.readFacts()).rejects.toMatchObject({ code: "snapshot_unusable" });
});

it("is of no use when the host went down while its machine may have run", async () => {
  await snapshot.claim();
  const [claim = ""] = readdirSync(folder).filter((name) => name.startsWith("claim-"));
  renameSync(join(folder, claim), join(folder, "claim-of-an-earlier-boot"));
  await expect(new SnapshotFolder(folder).readFacts()).rejects.toThrow("the host went down");
});

it("is used up also where it cannot be claimed", async () => {
  await snapshot.claim();
  const [claim = ""] = readdirSync(folder).filter((name) => name.startsWith("claim-"));
  rmSync(join(folder, claim));
  mkdirSync(join(folder, claim));
  const later = new SnapshotFolder(folder);
  await later.claim();
  await later.useUp();
  await expect(later.readFacts()).rejects.toMatchObject({ code: "snapshot_unusable" });
});
