import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatReference, parseReference } from "../../src/core/image-reference.ts";

const HEX = "0123456789abcdef".repeat(4);
const full = (text: string) => formatReference(parseReference(text));

describe("parseReference", () => {
  it.each([
    ["node", "docker.io/library/node:latest"],
    ["node:24", "docker.io/library/node:24"],
    ["a/b", "docker.io/a/b:latest"],
    ["a/b/c:x", "docker.io/a/b/c:x"],
    ["docker.io/node:24", "docker.io/library/node:24"],
    ["index.docker.io/library/node:24", "docker.io/library/node:24"],
    ["ghcr.io/team/app:v1.2", "ghcr.io/team/app:v1.2"],
    ["GHCR.io/team/app", "ghcr.io/team/app:latest"],
    ["localhost/x", "localhost/x:latest"],
    ["localhost:5000/x", "localhost:5000/x:latest"],
    ["registry:5000/a/b", "registry:5000/a/b:latest"],
    ["[::1]:5000/a:1", "[::1]:5000/a:1"],
    [`registry:5000/a/b@sha256:${HEX}`, `registry:5000/a/b@sha256:${HEX}`],
    [`node:24@sha256:${HEX}`, `docker.io/library/node@sha256:${HEX}`],
    ["aegis/claw:2026.9.6-0a1b", "docker.io/aegis/claw:2026.9.6-0a1b"],
    ["a--b/c__d.e-f", "docker.io/a--b/c__d.e-f:latest"],
  ])("reads %s as %s", (text, expected) => expect(full(text)).toBe(expected));

  it.each([
    ["", "empty"],
    ["Node", '"Node" must be lower case'],
    ["a/B:1", '"B" must be lower case'],
    ["a//b", "empty"],
    ["/a", "empty"],
    ["a/", "empty"],
    ["node:", 'the tag ""'],
    ["node:-x", 'the tag "-x"'],
    [`node:${"x".repeat(129)}`, "the tag"],
    ["node@sha256:abc", 'the digest "sha256:abc"'],
    [`node@sha256:${HEX.toUpperCase()}`, "the digest"],
    [`node@md5:${HEX}`, "the digest"],
    [`node@sha256:${HEX}@sha256:${HEX}`, 'more than one "@"'],
    ["a b", '"a b"'],
    ["../etc", '".." is not'],
    ["a/../b", '".."'],
    ["-x", '"-x"'],
    ["--help", '"--help"'],
    ["a_-b", '"a_-b"'],
    ["host_x.io:5000/a", '"host_x.io:5000" is not the name of a registry'],
    ["http://host/a", '"http:" is not the name of a registry'],
    ["a".repeat(600), "longer than 512"],
    ["a\nb", "is not letters"],
  ])("refuses %j", (text, why) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: "invalid_request" }));
    expect(() => parseReference(text)).toThrow(why);
  });

  it("reads its own full form back, and never lets through what a tool could take for something else", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii", maxLength: 40 }), (text) => {
        let name: string;
        try {
          name = full(text);
        } catch {
          return;
        }
        expect(full(name)).toBe(name);
        expect(name).toMatch(/^[\w.:[\]-]+\/[a-z0-9._/-]+[:@][\w.:-]+$/);
        expect(name).not.toContain("..");
      }),
      { numRuns: 2000 },
    );
  });
});
