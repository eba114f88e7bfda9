import { describe, expect, it } from "vitest";
import { parseReference } from "../../src/core/image-reference.ts";
import { isLoopback, registrySources } from "../../src/images/registry-source.ts";

describe("registrySources", () => {
  const settings = {
    mirrors: { "docker.io": ["http://10.0.0.5:5000/", "https://mirror.example/docker"] },
    insecureRegistries: ["old.example:5000"],
  };
  const sources = (ref: string) => registrySources(parseReference(ref), settings);

  it("tries the mirrors in their order, then the registry", () => {
    expect(sources("node:24")).toEqual([
      { name: "mirror 10.0.0.5:5000", location: "docker://10.0.0.5:5000/library/node", verifyTls: false },
      {
        name: "mirror mirror.example/docker",
        location: "docker://mirror.example/docker/library/node",
        verifyTls: true,
      },
      { name: "docker.io", location: "docker://docker.io/library/node", verifyTls: true },
    ]);
  });

  it("has no mirror for another registry", () => {
    expect(sources("ghcr.io/a/b")).toEqual([{ name: "ghcr.io", location: "docker://ghcr.io/a/b", verifyTls: true }]);
  });

  it("does without TLS on loopback and where it is told to", () => {
    expect(sources("127.0.0.1:5000/a")[0]?.verifyTls).toBe(false);
    expect(sources("localhost:5000/a")[0]?.verifyTls).toBe(false);
    expect(sources("old.example:5000/a")[0]?.verifyTls).toBe(false);
  });

  it.each(["127.0.0.1.example", "localhost.example", "127.example", "10.0.0.1:80"])("does not trust %s", (registry) => {
    expect(isLoopback(registry)).toBe(false);
  });
});
