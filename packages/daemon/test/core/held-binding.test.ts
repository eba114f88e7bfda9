import { expect, it } from "vitest";
import { heldBinding } from "../../src/core/held-binding.ts";
import type { InstanceRecord, StoredBinding } from "../../src/core/instance-record.ts";

const llm: StoredBinding = { name: "llm", port: 8001, upstream: "https://one.example" };
const handed: StoredBinding = { ...llm, upstream: "https://stale.example", inherited: true };

/** A chain of instances, each the child of the one before. */
function chain(...links: { bindings: StoredBinding[]; allowed?: string[] }[]): Map<string, InstanceRecord> {
  return new Map(
    links.map(({ bindings, allowed = ["llm"] }, at) => {
      const id = `inst-${at}`;
      const parentId = at === 0 ? null : `inst-${at - 1}`;
      return [
        id,
        { id, parentId, spec: { bindings }, grant: { allowed_bindings: allowed } } as unknown as InstanceRecord,
      ];
    }),
  );
}

function held(records: Map<string, InstanceRecord>, id: string) {
  const holder = records.get(id);
  if (holder === undefined) throw new Error(`there is no ${id}`);
  return heldBinding(holder, "llm", (other) => records.get(other));
}

it("is one's own", () => {
  expect(held(chain({ bindings: [llm], allowed: [] }), "inst-0")).toEqual({ binding: llm, holders: ["inst-0"] });
});

it("is the owner's as it is now, however far it was handed down", () => {
  const records = chain({ bindings: [llm] }, { bindings: [handed] }, { bindings: [handed] });
  expect(held(records, "inst-2")).toEqual({ binding: llm, holders: ["inst-2", "inst-1", "inst-0"] });
});

it("is lost below when the owner loses it, or somebody on the way may no longer pass it on", () => {
  expect(held(chain({ bindings: [] }, { bindings: [handed] }), "inst-1")).toBeNull();
  expect(held(chain({ bindings: [llm], allowed: [] }, { bindings: [handed] }), "inst-1")).toBeNull();
  expect(held(chain({ bindings: [llm] }, { bindings: [] }, { bindings: [handed] }), "inst-2")).toBeNull();
  expect(
    held(chain({ bindings: [llm] }, { bindings: [handed], allowed: ["x*"] }, { bindings: [handed] }), "inst-2"),
  ).toBeNull();
  const orphan = chain({ bindings: [llm] }, { bindings: [handed] });
  orphan.delete("inst-0");
  expect(held(orphan, "inst-1")).toBeNull();
});

it("does not follow a circle for ever", () => {
  const records = chain({ bindings: [handed] }, { bindings: [handed] });
  const [first] = records.values();
  if (first !== undefined) records.set("inst-0", { ...first, parentId: "inst-1" });
  expect(held(records, "inst-1")).toBeNull();
});
