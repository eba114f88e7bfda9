import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";

/** Whatever an overlay keeps in its own way: what was changed, removed and made anew. */
const LOOK = "cat /root/made; ls /etc | grep -E 'group|passwd'; readlink /root/link; stat -c %a /var/app; ls -A /www";

describe("an instance that goes from one driver to the other", () => {
  let aegis: Aegis;
  const id = "wanderer";

  beforeAll(async () => {
    aegis = await startAegis({ env: { AEGIS_DRIVER: "container" } });
  });
  afterAll(() => aegis?.stop());

  /** The next daemon has another driver. */
  async function under(driver: "container" | "microvm"): Promise<void> {
    aegis.env["AEGIS_DRIVER"] = driver;
    await aegis.restart();
    expect(await aegis.client.status()).toMatchObject({ backend: driver });
  }

  const startedAnew = async (): Promise<void> => {
    await aegis.client.instances.start(id);
    await aegis.reaches(id, "running");
  };

  it("has its disk under both, as it left it", async () => {
    await aegis.boot({ handle: id, command: ["sleep", "infinity"], pause_after_idle_s: null });
    await aegis.sh(
      id,
      "echo container > /root/made; rm /etc/group; ln -s /root/made /root/link; rm -r /www; mkdir /www; touch /www/new",
    );
    await aegis.sh(id, "mkdir -m 750 /var/app");
    const left = await aegis.sh(id, LOOK);
    expect(left).toBe("container\npasswd\n/root/made\n750\nnew");
    await aegis.client.instances.stop(id);
    await under("microvm");
    await startedAnew();
    expect(await aegis.sh(id, LOOK)).toBe(left);
    await aegis.sh(id, "echo microvm >> /root/made; rm /root/link; ln -s /elsewhere /root/link");
    await expect(under("container")).rejects.toThrow("AEGIS_DRIVER=microvm aegis up, then aegis down");
    aegis.env["AEGIS_DRIVER"] = "microvm";
    await aegis.start();
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
    await aegis.client.instances.hibernate(id);
    await under("container");
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "hibernated" });
    await startedAnew();
    expect(await aegis.sh(id, LOOK)).toBe(
      left.replace("container", "container\nmicrovm").replace("/root/made", "/elsewhere"),
    );
  });

  it("is told that its memory could not be taken up by the other one, and leaves none of it behind", async () => {
    expect((await aegis.logs(id)).map(({ line }) => line).join("\n")).toContain("the container driver cannot do that");
    const folder = join(aegis.home, "data/instances");
    const [mine = ""] = readdirSync(folder);
    expect(readdirSync(join(folder, mine))).not.toContain("snapshot");
    await aegis.client.instances.delete(id);
    await expect.poll(() => readdirSync(folder)).toEqual([]);
  });
});
