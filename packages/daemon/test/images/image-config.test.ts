import { describe, expect, it } from "vitest";
import { isIndex, parseConfig, parseManifest } from "../../src/images/image-config.ts";

const rootfs = { type: "layers", diff_ids: [] };
const digest = `sha256:${"a".repeat(64)}`;

describe("parseConfig", () => {
  it("reads what a boot needs", () => {
    const config = { Env: ["A=1", "B=x=y"], Entrypoint: ["/init"], Cmd: ["run"], User: "app:web", WorkingDir: "/srv" };
    expect(parseConfig({ created: "2026-01-01T00:00:00Z", config, rootfs, history: [] })).toEqual({
      createdAt: "2026-01-01T00:00:00Z",
      config: { env: ["A=1", "B=x=y"], entrypoint: ["/init"], cmd: ["run"], user: "app:web", workingDir: "/srv" },
    });
  });

  it.each([{ rootfs }, { rootfs, config: null }, { rootfs, config: { Env: null, Cmd: null, User: null } }])(
    "takes what is missing as empty: %j",
    (value) => {
      expect(parseConfig(value).config).toEqual({ env: [], entrypoint: [], cmd: [], user: "", workingDir: "" });
    },
  );

  it("drops what is no variable", () => {
    expect(parseConfig({ rootfs, config: { Env: ["A", "=x", "B="] } }).config.env).toEqual(["B="]);
  });

  it.each([
    null,
    [],
    {},
    { rootfs: { diff_ids: "x" } },
    { rootfs, config: { Cmd: "sh" } },
    { rootfs, config: { Env: [1] } },
  ])("refuses %j", (value) => {
    expect(() => parseConfig(value)).toThrow(expect.objectContaining({ code: "image_invalid" }));
  });
});

describe("parseManifest", () => {
  const config = { mediaType: "x", digest, size: 1 };

  it("reads a manifest, and tells it from an index", () => {
    expect(parseManifest({ schemaVersion: 2, config, layers: [config] }).layers).toHaveLength(1);
    expect(isIndex({ schemaVersion: 2, config, layers: [config] })).toBe(false);
    expect(isIndex({ schemaVersion: 2, manifests: [config] })).toBe(true);
  });

  it.each(["../../../etc/passwd", "sha256:../x", `sha512:${"a".repeat(128)}`, `sha256:${"A".repeat(64)}`])(
    "refuses the digest %s, which becomes a path",
    (bad) => {
      expect(() => parseManifest({ config: { ...config, digest: bad }, layers: [] })).toThrow("manifest");
    },
  );
});
