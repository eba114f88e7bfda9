import { describe, expect, it } from "vitest";
import { checkContent, imageAllowed, imagesCover } from "../../src/core/image-rule.ts";

const [A, B] = ["a", "b"].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string];

describe("allowed images", () => {
  it.each<[string[], string]>([
    [["*"], "anything:1"],
    [["*"], "sha256:abcdef"],
    [["node"], "docker.io/library/node:latest"],
    [["node"], "docker.io/node"],
    [["docker.io/library/node:latest"], "node"],
    [["index.docker.io/library/node"], "node:latest"],
    [["node:*"], "docker.io/library/node:24"],
    [["node*"], "node:24"],
    [["node*"], "nodejs:1"],
    [["team/*"], "docker.io/team/app:3"],
    [["GHCR.io/team/*"], "ghcr.io/team/app:3"],
    [["ghcr.io/*:stable"], "ghcr.io/team/app:stable"],
    [["localhost:5000/*"], "localhost:5000/app"],
    [[A], A],
    [[A], `node@${A}`],
    [[`node@${A}`], A],
    [[`node@${A}`], `ghcr.io/other/name@${A}`],
    [["docker.io/library/facade"], "docker.io/library/facade"],
  ])("%j are %s", (allowed, ref) => {
    expect(imageAllowed(allowed, ref)).toBe(true);
  });

  it.each<[string[], string]>([
    [[], "node"],
    [["node"], "node:24"],
    [["node"], "evil.example/library/node"],
    [["node"], "docker.io/other/node"],
    [["node*"], "ghcr.io/team/node"],
    [["docker.io/library/*"], "docker.io/team/app"],
    [["team/*"], "team.example/app"],
    // a name in front of a digest makes it no image of that name
    [["node*"], `node@${A}`],
    [["node:*"], `node:24@${A}`],
    [["docker.io/library/*"], `docker.io/library/node@${A}`],
    [["*/*"], A],
    [[A], B],
    [[A], `node@${B}`],
    [[A], "node"],
    [[`node@${A}`], "node"],
    // what the store would take for the beginning of a digest
    [["docker.io/library/*"], "aaaaaaaa"],
    [["*a*"], "sha256:aaaaaaaa"],
    [["facade"], "facade"],
    [["*e"], "not an image"],
    [["node*"], `node@sha256:${"A".repeat(64)}`],
  ])("%j are not %s", (allowed, ref) => {
    expect(imageAllowed(allowed, ref)).toBe(false);
  });

  it("cover each other as they are meant, not as they are written", () => {
    expect(imagesCover(["node:*"], ["docker.io/library/node:24", "node"])).toBe(true);
    expect(imagesCover(["docker.io/library/*"], ["node:*"])).toBe(true);
    expect(imagesCover(["node:*"], ["node*"])).toBe(false);
    expect(imagesCover(["node*"], [`node@${A}`])).toBe(false);
    expect(imagesCover([A], [`node@${A}`])).toBe(true);
    expect(imagesCover(["ghcr.io/*"], ["*"])).toBe(false);
    expect(imagesCover(["*"], ["*", A, "node"])).toBe(true);
    expect(imagesCover([], [])).toBe(true);
  });
});

describe("a reference by digest", () => {
  it("boots what it names and nothing else", () => {
    checkContent(`node@${A}`, { digest: A, sourceDigests: [] });
    checkContent(A, { digest: B, sourceDigests: [A] });
    checkContent("node:24", { digest: B, sourceDigests: [] });
    for (const ref of [A, `node@${A}`])
      expect(() => checkContent(ref, { digest: B, sourceDigests: [] })).toThrow(
        expect.objectContaining({ code: "image_invalid" }),
      );
  });
});
