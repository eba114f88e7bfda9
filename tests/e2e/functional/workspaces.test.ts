import { chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
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
  afterEach(() => aegis.deleteAll());

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

    it("has its files on the API: for both sides they belong to who they should, and no link leads out", async () => {
      const { id } = await aegis.boot({ command: FOREVER, workspace: "shared" });
      const { files } = aegis.client;
      await files.write(id, "in/put.sh", Readable.from(["echo made outside > out"]), 0o755);
      expect(statSync(join(aegis.home, "data/workspaces/shared/in/put.sh"))).toMatchObject(USER);
      expect(await aegis.sh(id, "stat -c %u:%g:%a in in/put.sh; sh in/put.sh; chmod 600 out")).toBe("0:0:755\n0:0:755");
      expect(await text(await files.read(id, "out"))).toBe("made outside\n");
      await aegis.sh(id, "ln -s /etc/shadow soft; ln -s / root; mkfifo pipe; ln out hard; mkdir d; ln -s ../.. d/up");
      for (const path of ["soft", "root/etc/shadow", "pipe", "d/up/up/etc/shadow"])
        await expect(files.read(id, path)).rejects.toMatchObject({ code: "invalid_path" });
      await expect(files.write(id, "root/tmp/x", Readable.from(["x"]))).rejects.toMatchObject({ code: "invalid_path" });
      expect(await text(await files.read(id, "hard"))).toBe("made outside\n");
      const { entries } = await files.tree(id);
      expect(entries.map(({ path, type }) => `${type} ${path}`)).toEqual([
        "folder d",
        "link d/up",
        "file hard",
        "folder in",
        "file in/put.sh",
        "file out",
        "other pipe",
        "link root",
        "link soft",
      ]);
      await aegis.client.instances.stop(id);
      await files.delete(id, "soft");
      await expect(files.read(id, "soft")).rejects.toMatchObject({ code: "file_not_found" });
    });

    it("is searched for by a guest that swaps folders for links, and never left", async () => {
      const { id } = await aegis.boot({ command: FOREVER, workspace: "swapped" });
      const { files } = aegis.client;
      await aegis.sh(id, "mkdir real; echo mine > real/hostname; ln -s /etc link");
      const swapping = aegis
        .exec(id, ["sh", "-c", "while [ ! -e stop ]; do mv real d; mv d real; mv link d; mv d link; done"])
        .catch(() => undefined);
      const seen = new Set<string>();
      // until it has begun nothing is seen but that there is no such folder
      for (let i = 0; i < 300 || seen.size === 1; i += 1)
        seen.add(await files.read(id, "d/hostname").then(text, (error: { code: string }) => error.code));
      await files.write(id, "stop", Readable.from([]));
      await swapping;
      expect([...seen].filter((one) => !["mine\n", "invalid_path", "file_not_found"].includes(one))).toEqual([]);
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
