import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { AuditRecord } from "../../src/core/audit.ts";
import { BoundedAudit } from "../../src/core/bounded-audit.ts";

const bot = { kind: "instance", instance_id: "inst-a", handle: "bot", boot: 1 } as const;
const refused = (target: string): AuditRecord => ({
  actor: bot,
  action: "instance.create",
  target,
  decision: "refused",
  reason: "no capability",
});

function audit() {
  const written: AuditRecord[] = [];
  return { written, bounded: new BoundedAudit({ append: (entry) => void written.push(entry) }) };
}

describe("what one instance may write into the audit log", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
  });

  it("is bounded, and the rest is counted", () => {
    const { written, bounded } = audit();
    for (let i = 0; i < 572; i += 1) bounded.record(refused(`child-${i}`));
    expect(written).toHaveLength(60);
    vi.advanceTimersByTime(10_000);
    expect(written).toHaveLength(61);
    expect(written.at(-1)).toMatchObject({ ...refused("child-571"), more: 512 });
  });

  it("leaves room for what is allowed, for other instances and for the local user", () => {
    const { written, bounded } = audit();
    for (let i = 0; i < 100; i += 1) bounded.record(refused("x"));
    const others: AuditRecord[] = [
      { ...refused("mine"), decision: "allowed", reason: null },
      { ...refused("its"), actor: { ...bot, instance_id: "inst-b" } },
      { ...refused("yours"), actor: { kind: "host", uid: 1000 } },
    ];
    for (const entry of others) bounded.record(entry);
    expect(written.slice(60)).toEqual(others);
  });

  it("comes back with time", () => {
    const { written, bounded } = audit();
    for (let i = 0; i < 61; i += 1) bounded.record(refused("x"));
    vi.advanceTimersByTime(120_000);
    const before = written.length;
    for (let i = 0; i < 60; i += 1) bounded.record(refused("y"));
    expect(written.length - before).toBe(60);
  });

  it("writes what it holds back when the daemon ends", () => {
    const { written, bounded } = audit();
    for (let i = 0; i < 65; i += 1) bounded.record(refused("x"));
    bounded.flush();
    expect(written.at(-1)?.more).toBe(5);
  });

  it("cuts what is too long", () => {
    const { written, bounded } = audit();
    bounded.record({ ...refused("t".repeat(5000)), reason: "r".repeat(5000), detail: "d".repeat(5000) });
    expect(JSON.stringify(written).length).toBeLessThan(2000);
  });
});
