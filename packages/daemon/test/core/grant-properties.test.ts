import { randomInt } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Capabilities } from "@aegis/protocol/capability";
import { AegisError } from "@aegis/protocol/errors";
import { checkDelegation, checkExposedPorts, checkSpawn, checkSpec } from "../../src/core/capabilities.ts";
import { ceilings, meet, oneLevelDown } from "../../src/core/effective-grant.ts";
import { imageAllowed } from "../../src/core/image-rule.ts";
import type { InstanceSpec } from "../../src/core/instance-record.ts";
import { networkAllowed } from "../../src/core/network-rule.ts";
import { budgetFields, treeBudget } from "../../src/core/tree-budget.ts";
import { grants, specs, world } from "./grant-arbitraries.ts";

const seed = Number(process.env["AEGIS_GRANTS_SEED"] ?? randomInt(2 ** 31));
const RUNS = 100_000;
const LINES = 33_334;
const NO_TREE = { instances: 0, memory_mb: 0, vcpus: 0, disk_mb: 0 };

function allows(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof AegisError && error.code === "capability_refused") return false;
    throw error;
  }
}

const compiled = new Map<string, RegExp>();
function patternOf(entry: string): RegExp {
  const known = compiled.get(entry);
  if (known !== undefined) return known;
  const pattern = new RegExp(`^${entry.replaceAll(/[.+?^${}()|[\]\\/]/g, "\\$&").replaceAll("*", ".*")}$`);
  compiled.set(entry, pattern);
  return pattern;
}

/** Written again, in another way than the code under test. */
const matches = (entries: readonly string[] = [], name: string): boolean =>
  entries.some((entry) => patternOf(entry).test(name));

/** As fast as a property needs it that runs so often. */
function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
}

const ends = ({ max_lifetime_s = 0 }: Capabilities): number => (max_lifetime_s === 0 ? Infinity : max_lifetime_s);

/** In every field: whatever `less` gives, `more` gives too. */
function expectWithin(less: Capabilities, more: Capabilities): void {
  expectThat(less.spawn !== true || more.spawn === true, "spawn");
  for (const field of ceilings) expectThat((less[field] ?? 0) <= (more[field] ?? 0), field);
  expectThat(ends(less) <= ends(more), "max_lifetime_s");
  for (const field of budgetFields) expectThat(treeBudget(less)[field] <= treeBudget(more)[field], `tree.${field}`);
  for (const image of world.images)
    if (imageAllowed(less.allowed_images ?? [], image))
      expectThat(imageAllowed(more.allowed_images ?? [], image), `allowed_images: ${image}`);
  for (const host of world.hosts) {
    const wanted = { mode: "allowlist" as const, allow: [host] };
    if (networkAllowed(less.allowed_network ?? [], wanted))
      expectThat(networkAllowed(more.allowed_network ?? [], wanted), `allowed_network: ${host}`);
  }
  for (const [field, names] of [
    ["allowed_secrets", world.secrets],
    ["allowed_workspaces", world.workspaces],
    ["allowed_bindings", world.bindings],
  ] as const)
    for (const name of names)
      if (matches(less[field], name)) expectThat(matches(more[field], name), `${field}: ${name}`);
}

/** What a spec takes, held against a grant without the code under test. */
function expectCovered(spec: InstanceSpec, grant: Capabilities): void {
  expectThat(spec.memory_mb <= (grant.max_memory_mb ?? 0), "memory");
  expectThat(spec.vcpus <= (grant.max_vcpus ?? 0), "vcpus");
  expectThat((spec.lifetime_s ?? Infinity) <= ends(grant), "lifetime");
  const names = spec.secrets.flatMap((one) => (one === "*" ? world.secrets : one.replace(/^X=/, "")));
  for (const name of names) expectThat(matches(grant.allowed_secrets, name), `secret ${name}`);
  if (spec.workspace !== null) expectThat(matches(grant.allowed_workspaces, spec.workspace), "workspace");
  expectThat(spec.workspace?.startsWith("/") !== true, "host path");
  for (const { name } of spec.bindings) expectThat(matches(grant.allowed_bindings, name), `binding ${name}`);
  if (spec.network.mode === "open") expectThat(grant.allowed_network?.includes("*") === true, "open network");
  if (spec.network.mode === "allowlist") expectThat((grant.allowed_network ?? []).length > 0, "network");
}

/** Rights along a line of instances, the oldest first, as the daemon weighs them. */
const rightsAlong = (line: readonly Capabilities[]): Capabilities[] =>
  line.reduce<Capabilities[]>((known, grant) => {
    const above = known.at(-1);
    return [...known, above === undefined ? grant : meet(grant, oneLevelDown(above))];
  }, []);

describe(`grants (AEGIS_GRANTS_SEED=${seed})`, () => {
  it("a child that may be made has at most what its parent has, in every field", { timeout: 600_000 }, () => {
    let made = 0;
    fc.assert(
      fc.property(grants, grants, specs, fc.nat(3), (parent, capabilities, spec, exposedPorts) => {
        const generous = { ...parent, spawn: true, spawn_depth: Math.max(parent.spawn_depth ?? 0, 1) };
        const delegable = allows(() => checkDelegation(generous, capabilities));
        if (delegable) {
          // what it does not say of its end and of its tree is its parent's; all else is as it was granted
          const stored = {
            ...capabilities,
            max_lifetime_s: capabilities.max_lifetime_s || (generous.max_lifetime_s ?? 0),
          };
          expectWithin({ ...stored, tree: { ...NO_TREE, ...capabilities.tree } }, oneLevelDown(generous));
          expectWithin(meet(capabilities, oneLevelDown(generous)), oneLevelDown(generous));
        }
        const specOk = allows(() => checkSpec(generous, spec));
        if (specOk) expectCovered(spec, generous);
        const may = allows(() => checkSpawn(generous, { spec, capabilities, exposedPorts }));
        expect(may).toBe(delegable && specOk && exposedPorts <= (parent.max_expose_ports ?? 0));
        if (may) made += 1;
        expect(allows(() => checkSpawn({ ...generous, spawn: false }, { spec, capabilities, exposedPorts }))).toBe(
          false,
        );
      }),
      { seed, numRuns: RUNS },
    );
    // else the property says nothing
    expect(made).toBeGreaterThan(20);
  });

  it("rights shrink from one generation to the next, whatever each was granted", { timeout: 600_000 }, () => {
    let running = 0;
    fc.assert(
      fc.property(fc.array(grants, { minLength: 2, maxLength: 4 }), specs, (line, spec) => {
        const rights = rightsAlong(line);
        const last = rights.at(-1) ?? {};
        if (allows(() => checkSpec(last, spec))) {
          running += 1;
          for (const above of line) expectCovered(spec, above);
          for (const above of rights)
            expectThat(
              allows(() => checkSpec(above, spec)),
              "allowed above",
            );
        }
        for (const [at, one] of rights.entries()) {
          const above = rights[at - 1];
          if (above !== undefined && at === rights.length - 1) expectWithin(one, above);
          for (const ports of [1, 2, 3])
            if (allows(() => checkExposedPorts(one, ports)))
              expectThat(
                line.slice(0, at + 1).every((grant) => (grant.max_expose_ports ?? 0) >= ports),
                `${ports} ports`,
              );
        }
      }),
      { seed, numRuns: LINES },
    );
    expect(running).toBeGreaterThan(20);
  });

  it("a missing field is the same as none", () => {
    const spec = fc.sample(specs, { seed, numRuns: 1 })[0];
    if (spec === undefined) throw new Error("no sample");
    const all: Capabilities = {
      spawn: true,
      spawn_depth: 1,
      max_children: 1,
      max_memory_mb: 512,
      max_vcpus: 8,
      max_expose_ports: 1,
      allowed_images: ["*"],
      allowed_secrets: ["*"],
      allowed_workspaces: ["*"],
      allowed_bindings: ["*"],
      allowed_network: ["*"],
    };
    const child: InstanceSpec = {
      ...spec,
      image_ref: "node",
      memory_mb: 64,
      vcpus: 1,
      secrets: ["TEAM_A"],
      workspace: "work-1",
      bindings: [{ name: "llm", port: 1, upstream: "http://localhost", inherited: true }],
      network: { mode: "open" },
    };
    const request = { spec: child, capabilities: {}, exposedPorts: 1 };
    expect(allows(() => checkSpawn(all, request))).toBe(true);
    for (const field of Object.keys(all) as (keyof Capabilities)[]) {
      if (field === "max_children") continue; // counted where the row is written
      const { [field]: _, ...without } = all;
      expect(() => checkSpawn(without, request)).toThrow(expect.objectContaining({ capability: field }));
    }
  });
});
