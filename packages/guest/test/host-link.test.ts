import { expect, test } from "vitest";
import { HostLink, type Notification, type Outlet } from "../src/host-link.ts";
import type { LogEntry } from "../src/log-buffer.ts";

const entry = (line: string): LogEntry => ({ stream: "stdout", line, ts: "2030-01-01T00:00:00.000Z" });

class TestOutlet implements Outlet {
  readonly seen: Notification[] = [];
  takesMore = true;

  notify(notifications: Notification[]): boolean {
    this.seen.push(...notifications);
    return this.takesMore;
  }
}

test("what waited comes first and in order, the exit after the last line", () => {
  const link = new HostLink();
  link.log([entry("1"), entry("2")]);
  link.exited({ code: 0, signal: null });
  const outlet = new TestOutlet();
  link.attach(outlet);
  expect(outlet.seen.map(({ method }) => method)).toEqual(["log", "log", "processExited"]);
  const next = new TestOutlet();
  link.attach(next);
  expect(next.seen.map(({ params }) => params)).toMatchObject([{ seq: 1 }, { seq: 2 }]);
  link.saved(2);
  const third = new TestOutlet();
  link.attach(third);
  expect(third.seen).toEqual([]);
});

test("a host that is behind gets nothing more until it has caught up", () => {
  const link = new HostLink();
  const outlet = new TestOutlet();
  link.attach(outlet);
  outlet.takesMore = false;
  link.log([entry("1")]);
  link.log([entry("2")]);
  expect(outlet.seen).toHaveLength(1);
  outlet.takesMore = true;
  link.pump();
  expect(outlet.seen).toHaveLength(2);
});

test("the workload is held back by a host that is behind, and let go when the host is gone", async () => {
  const link = new HostLink();
  const outlet = new TestOutlet();
  outlet.takesMore = false;
  link.attach(outlet);
  link.log(Array.from({ length: 200 }, () => entry("x".repeat(1000))));
  const room = link.room();
  expect(room).not.toBeNull();
  link.detach(outlet);
  await room;
  expect(link.room()).toBeNull();
});

test("an old outlet that closes late takes nothing from the new one", () => {
  const link = new HostLink();
  const [old, current] = [new TestOutlet(), new TestOutlet()];
  link.attach(old);
  link.attach(current);
  link.detach(old);
  link.log([entry("1")]);
  expect(current.seen).toHaveLength(1);
});

test("activity without a host is not kept", () => {
  const link = new HostLink();
  link.activity({ tcp: 1, cpu_ms: 0, net_bytes: 0 });
  const outlet = new TestOutlet();
  link.attach(outlet);
  expect(outlet.seen).toEqual([]);
});
