import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { debianSources } from "../../src/image/debian-base.ts";

describe("debianSources", () => {
  let apt: string;
  beforeEach(async () => {
    apt = await mkdtemp(join(tmpdir(), "aegis-apt-"));
    await mkdir(join(apt, "sources.list.d"));
  });
  afterEach(async () => await rm(apt, { recursive: true, force: true }));

  it("takes the archive's lines and leaves third parties'", async () => {
    await writeFile(
      join(apt, "sources.list"),
      `# deb http://old.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib
deb [signed-by=/k.gpg arch=amd64] http://mirror.example/security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb http://docker.example/linux bookworm stable
deb http://postgres.example/apt bookworm-pgdg main
`,
    );
    expect(await debianSources(apt, "bookworm")).toEqual({
      list: `deb http://mirror.example/debian bookworm main contrib
deb [signed-by=/k.gpg arch=amd64] http://mirror.example/security bookworm-security main
`,
      sources: "",
    });
  });

  it("takes the archive's stanzas", async () => {
    const archive =
      "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main";
    const disabled = `Enabled: no\n${archive}`;
    const other = "Types: deb\nURIs: http://node.example\nSuites: nodistro\nComponents: main";
    await writeFile(join(apt, "sources.list.d/debian.sources"), `${archive}\n\n${disabled}\n\n${other}\n`);
    expect(await debianSources(apt, "bookworm")).toEqual({ list: "", sources: `${archive}\n\n` });
  });

  it("finds nothing where there is nothing", async () => {
    expect(await debianSources(join(apt, "none"), "bookworm")).toEqual({ list: "", sources: "" });
  });
});
