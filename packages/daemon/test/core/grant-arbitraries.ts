import fc from "fast-check";
import type { Capabilities } from "@aegis/protocol/capability";
import type { NetworkPolicy } from "@aegis/protocol/network";
import type { InstanceSpec } from "../../src/core/instance-record.ts";
import { toSpec } from "../../src/core/instance-spec.ts";

/** A small world, so that grants and requests meet each other often. */
const DIGESTS = ["a", "b"].map((digit) => `sha256:${digit.repeat(64)}`);

export const world = {
  images: [
    "node",
    "node:24",
    "docker.io/library/node:24",
    "docker.io/node",
    "nodejs:1",
    "ghcr.io/team/app",
    "ghcr.io/team/app:2",
    "ghcr.io/other/app:2",
    `node@${DIGESTS[0]}`,
    `ghcr.io/team/app@${DIGESTS[1]}`,
    DIGESTS[0] ?? "",
    "sha256:aaaaaaaa",
    "facade",
    "not an image",
  ],
  secrets: ["TEAM_A", "TEAM_B", "PRIVATE", "TEAMS"],
  workspaces: ["work-1", "work-2", "private", "./site", "./site/deep", "./other"],
  bindings: ["llm", "telegram"],
  hosts: ["api.example.com:443", "api.example.com", "a.example.org:443", "example.org", "evil.test:80", "1.1.1.1:53"],
};

const patterns = {
  images: [
    ...world.images.filter((image) => !image.includes(" ")),
    "*",
    "node:*",
    "node*",
    "docker.io/library/*",
    "ghcr.io/team/*",
    "ghcr.io/*:2",
    "*/app:2",
  ],
  secrets: [...world.secrets, "*", "TEAM_*", "*A", "T*B"],
  workspaces: [...world.workspaces, "*", "work-*", "./*", "./site/*"],
  bindings: [...world.bindings, "*"],
  network: [...world.hosts, "*", "*.example.org", "*.example.org:443", "*.example.com:443"],
};

/** Often everything: else hardly a request would ever be allowed, and what follows from that not be seen. */
const some = (values: readonly string[]): fc.Arbitrary<string[]> =>
  fc.oneof(
    { arbitrary: fc.subarray([...values], { maxLength: Math.min(values.length, 4) }), weight: 2 },
    { arbitrary: fc.constant<string[]>(["*"]), weight: 3 },
  );
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ arbitrary, weight: 15 }, { arbitrary: fc.constant(undefined), weight: 1 });
const small = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });

/** Fields that are undefined are left out, as in JSON. */
const present = <T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;

const tree = fc
  .record({
    instances: maybe(small(4)),
    memory_mb: maybe(small(400)),
    vcpus: maybe(small(4)),
    disk_mb: maybe(small(9999)),
  })
  .map(present<NonNullable<Capabilities["tree"]>>);

export const grants: fc.Arbitrary<Capabilities> = fc
  .record({
    spawn: maybe(fc.boolean()),
    spawn_depth: maybe(small(3)),
    max_children: maybe(small(4)),
    max_memory_mb: maybe(small(200)),
    max_vcpus: maybe(small(4)),
    max_expose_ports: maybe(small(3)),
    max_lifetime_s: fc.oneof(small(3), fc.constant(undefined)),
    allowed_images: maybe(some(patterns.images)),
    allowed_secrets: maybe(some(patterns.secrets)),
    allowed_workspaces: maybe(some(patterns.workspaces)),
    allowed_bindings: maybe(some(patterns.bindings)),
    allowed_network: maybe(some(patterns.network)),
    tree: maybe(tree),
  })
  .map(present<Capabilities>);

const networks: fc.Arbitrary<NetworkPolicy> = fc.oneof(
  fc.constantFrom<NetworkPolicy>({ mode: "open" }, { mode: "none" }),
  fc
    .subarray([...world.hosts, "*.example.org:443"], { minLength: 1, maxLength: 2 })
    .map((allow) => ({ mode: "allowlist" as const, allow })),
);

const base = toSpec({ command: ["echo-server", "7"] }, [], { imageRef: "test", driver: "fake" });

/** What a child may ask to be. */
export const specs: fc.Arbitrary<InstanceSpec> = fc
  .record({
    image_ref: fc.constantFrom(...world.images),
    memory_mb: small(160),
    vcpus: small(3),
    lifetime_s: fc.oneof(small(3), fc.constant(null)),
    secrets: fc.oneof(
      fc.constant<string[]>([]),
      fc.subarray([...world.secrets, "*", "X=PRIVATE", "X=TEAM_A"], { maxLength: 2 }),
    ),
    workspace: fc.oneof(fc.constant(null), fc.constantFrom(...world.workspaces, "/tmp")),
    bindings: fc
      .subarray(world.bindings, { maxLength: 1 })
      .map((names) => names.map((name) => ({ name, port: 1, upstream: "http://localhost", inherited: true as const }))),
    network: networks,
  })
  .map((fields) => ({ ...base, ...fields }));
