import { describe, expect, it } from "vitest";
import { candidates } from "../../src/image/registry-base.ts";

describe("candidates", () => {
  it("asks the mirrors of docker.io first", () => {
    expect(candidates("docker.io/library/node:24", ["http://127.0.0.1:5000", "https://mirror.example/hub/"])).toEqual([
      { source: "docker://127.0.0.1:5000/library/node:24", insecure: true },
      { source: "docker://mirror.example/hub/library/node:24", insecure: false },
      { source: "docker://docker.io/library/node:24", insecure: false },
    ]);
  });

  it("asks only the registry itself for another's image", () => {
    expect(candidates("127.0.0.1:5000/base:1", ["http://mirror.example"])).toEqual([
      { source: "docker://127.0.0.1:5000/base:1", insecure: true },
    ]);
  });
});
