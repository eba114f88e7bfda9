import { describe, expect, it } from "vitest";
import type { Capabilities } from "@aegis/protocol/capability";
import { checkSpawn } from "../../src/core/capabilities.ts";
import type { ChildRequest } from "../../src/core/capabilities.ts";
import { toSpec } from "../../src/core/instance-spec.ts";

const grant: Capabilities = {
  spawn: true,
  spawn_depth: 2,
  max_children: 2,
  allowed_images: ["docker.io/library/node:*", "work"],
  max_memory_mb: 1024,
  max_vcpus: 2,
  max_expose_ports: 1,
  allowed_secrets: ["PUBLIC_*"],
  allowed_workspaces: ["work-*"],
  allowed_bindings: ["llm"],
  allowed_network: ["*"],
};

const llm = { name: "llm", port: 8001, upstream: "http://127.0.0.1:1" };

function child(patch: { [K in keyof ChildRequest]?: Partial<ChildRequest[K]> } = {}): ChildRequest {
  const spec = toSpec({ command: ["true"] }, [], { imageRef: "work", driver: "fake" });
  return {
    spec: { ...spec, ...patch.spec },
    capabilities: patch.capabilities ?? {},
    exposedPorts: typeof patch.exposedPorts === "number" ? patch.exposedPorts : 0,
  };
}

describe("checkSpawn", () => {
  it("allows what the grant allows", () => {
    expect(() => checkSpawn(grant, child({ spec: { workspace: "work-1", bindings: [llm] } }))).not.toThrow();
  });

  it.each<[string, Capabilities, ChildRequest]>([
    ["capability spawn", {}, child()],
    ["spawn_depth", { ...grant, spawn_depth: 0 }, child()],
    ["max_memory_mb", grant, child({ spec: { memory_mb: 1025 } })],
    ["max_vcpus", grant, child({ spec: { vcpus: 2.5 } })],
    ["allowed_images", grant, child({ spec: { image_ref: "docker.io/library/nodeX" } })],
    ["allowed_secrets", grant, child({ spec: { secrets: ["PUBLIC_A=PRIVATE"] } })],
    ["allowed_secrets", grant, child({ spec: { secrets: ["*"] } })],
    ["allowed_workspaces", grant, child({ spec: { workspace: "other" } })],
    ["allowed_bindings", grant, child({ spec: { bindings: [{ ...llm, name: "telegram" }] } })],
    ["spawn_depth", grant, child({ capabilities: { spawn: true, spawn_depth: 2 } })],
    ["max_memory_mb", grant, child({ capabilities: { spawn: true, spawn_depth: 1, max_memory_mb: 2048 } })],
    ["allowed_images", grant, child({ capabilities: { spawn: true, allowed_images: ["*"] } })],
  ])("refuses with the reason %s", (reason, given, request) => {
    expect(() => checkSpawn(given, request)).toThrow(
      expect.objectContaining({ code: "capability_refused", message: expect.stringContaining(reason) }),
    );
  });

  it("refuses every field that is missing from the grant", () => {
    const bare: Capabilities = { spawn: true, spawn_depth: 1, max_children: 1 };
    expect(() => checkSpawn(bare, child())).toThrow(/max_memory_mb/);
  });
});
