import { chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { hasWorkspaces, startAegis, type Aegis } from "../aegis-fixture.ts";

const FOREVER = ["sleep", "infinity"];
/** the person behind sudo */
const USER = { uid: 4321, gid: 4322 };

describe("files of the invoking user", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis({ env: { SUDO_UID: String(USER.uid), SUDO_GID: String(USER.gid) } });
  });
  afterAll(() => aegis.stop());
  afterEach(async () => {
    for (const { id } of await aegis.client.instances.list()) await aegis.client.instances.delete(id);
  });

  describe("a home", () => {
    it("belongs to the person behind sudo", () => {
      for (const path of ["aegisd.sock", "data", "data/workspaces", "data/aegisd.log"])
        expect(statSync(join(aegis.home, path))).toMatchObject(USER);
      expect(statSync(join(aegis.home, "aegisd.sock")).mode & 0o777).toBe(0o600);
    });
  });

  describe.runIf(hasWorkspaces)("a workspace", () => {
    it("is made, mounted, kept over a delete, and its files belong to the invoking user", async () => {
      const { id } = await aegis.boot({ command: FOREVER, workspace: "project" });
      expect(await aegis.client.instances.get(id)).toMatchObject({ workspace: "project" });
      expect(await aegis.sh(id, "pwd; mkdir d; echo text > d/file; stat -c %u:%g d/file")).toBe("/workspace\n0:0");
      const file = join(aegis.home, "data/workspaces/project/d/file");
      expect(statSync(file)).toMatchObject(USER);
      await aegis.client.instances.delete(id);
      expect(readFileSync(file, "utf8")).toBe("text\n");
      const next = await aegis.boot({ command: ["cat", "d/file"], workspace: "project" });
      await aegis.reaches(next.id, "stopped");
      expect((await aegis.logs(next.id))[0]?.line).toBe("text");
    });

    it("can be a folder of the invoking user's", async () => {
      const folder = mkdtempSync("/tmp/aegis-e2e-mine-");
      onTestFinished(() => rmSync(folder, { recursive: true }));
      writeFileSync(join(folder, "file"), "from the host\n");
      const spec = { command: FOREVER, workspace: folder };
      await expect(aegis.boot(spec)).rejects.toMatchObject({ code: "invalid_path" });
      for (const path of [folder, join(folder, "file")]) chownSync(path, USER.uid, USER.gid);
      const { id } = await aegis.boot(spec);
      expect(await aegis.sh(id, "cat file; echo more >> file; rm file; echo new > file")).toBe("from the host");
      expect(readFileSync(join(folder, "file"), "utf8")).toBe("new\n");
    });

    it.each(["../x", "a/b", ".", "/etc", "/", "/tmp/../etc", "/no/such/folder", "a".repeat(65)])(
      "is refused as %s",
      async (workspace) => {
        await expect(aegis.boot({ command: FOREVER, workspace })).rejects.toMatchObject({ code: "invalid_path" });
        expect(await aegis.client.instances.list()).toEqual([]);
      },
    );
  });

  describe.skipIf(hasWorkspaces)("a workspace without idmapped mounts", () => {
    it("is refused with what to do", async () => {
      const { id } = await aegis.boot({ command: FOREVER, workspace: "project" });
      expect((await aegis.client.instances.get(id)).failure).toMatch(/Install crun/);
    });
  });
});
