import type { EventBody } from "@aegis/protocol/event";
import { describe, expect, it } from "vitest";
import type { AuditRecord } from "../../src/core/audit.ts";
import { networkRefusals } from "../../src/core/network-refusals.ts";
import { FakeDriver } from "../../src/drivers/fake/fake-driver.ts";

describe("a refusal of the network", () => {
  it("is an event and an audit entry that name who, what and why, also of an instance that is gone", async () => {
    const events: EventBody[] = [];
    const entries: AuditRecord[] = [];
    const driver = new FakeDriver();
    await driver.start(
      networkRefusals({
        events: { emit: (event) => void events.push(event) },
        audit: { record: (entry) => void entries.push(entry) },
        handleOf: (id) => (id === "inst-1" ? "web" : undefined),
      }),
    );
    const what = { destination: "203.0.113.1:443", protocol: "tcp", reason: "not on the allowlist" } as const;
    driver.observer?.networkRefused({ instanceId: "inst-1", boot: 3, ...what, more: 0 });
    driver.observer?.networkRefused({ instanceId: "inst-2", boot: 1, ...what, more: 7 });
    expect(events).toEqual([
      { type: "network.refused", instance_id: "inst-1", handle: "web", ...what, more: 0 },
      { type: "network.refused", instance_id: "inst-2", handle: "inst-2", ...what, more: 7 },
    ]);
    expect(entries).toMatchObject([
      {
        actor: { kind: "instance", instance_id: "inst-1", handle: "web", boot: 3 },
        action: "network.connect",
        target: "203.0.113.1:443",
        decision: "refused",
        reason: "not on the allowlist",
        detail: "tcp",
      },
      { actor: { handle: "inst-2" }, more: 7 },
    ]);
  });
});
