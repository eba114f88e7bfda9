import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { InstanceView } from "@aegis/protocol/instance";
import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitUntilReady } from "../../src/up-ready.ts";

type Look = Pick<InstanceView, "state" | "restart_at"> & Partial<InstanceView>;

const RESTARTS = { state: "stopped", restart_at: "2026-01-31T12:00:00Z", exit_code: 1, failure: null } as const;
const STARTS = { state: "starting", restart_at: null } as const;
const bot = { id: "inst-1", handle: "claw-bot" } as InstanceView;

let daemon: FakeDaemon;
let webhook: Server;
let healthy: boolean;
let told: string[];
beforeEach(async () => {
  healthy = false;
  told = [];
  webhook = createServer((_, response) => response.writeHead(healthy ? 200 : 503).end(healthy ? "ok" : ""));
  await once(webhook.listen(0, "127.0.0.1"), "listening");
  daemon = await FakeDaemon.start({
    "GET /v1/instances/inst-1/logs": () => ({ lines: [{ line: "state database is locked" }] }),
    "GET /v1/events": () => ({
      lines: [1, 2, 3].map((seq) => ({
        seq,
        ts: "",
        instance_id: "inst-1",
        type: "instance.state",
        state: "starting",
      })),
      open: true,
    }),
  });
});
afterEach(async () => {
  await daemon.close();
  webhook.close();
});

/** Each look at the bot finds the next of these, and the last one from then on. */
function looks(...list: Look[]): void {
  daemon.routes["GET /v1/instances/inst-1"] = () => ({
    body: { ...bot, event_seq: 0, ...(list.length > 1 ? list.shift() : list[0]) },
  });
}

function ready(report: (text: string) => void = (text) => told.push(text), slowMs = 60_000): Promise<void> {
  const address = webhook.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return waitUntilReady(daemon.client, bot, { port, polls: null, slowMs }, report, new AbortController().signal);
}

it("a bot that takes long is waited for, and it is told where to look", async () => {
  looks(STARTS);
  await ready((text) => {
    told.push(text);
    healthy = true;
  }, 50);
  expect(told).toEqual([expect.stringContaining("npx aegis logs claw-bot -f")]);
});

describe("a bot that ends while it should come up", () => {
  it("is waited for as long as the restart policy starts it again, and each end is told", async () => {
    looks(RESTARTS, RESTARTS, STARTS, STARTS, RESTARTS, RESTARTS, STARTS);
    await ready((text) => {
      told.push(text);
      healthy = told.length === 2;
    });
    expect(told).toEqual([
      "it ended once (exit code 1), and is started again",
      "it ended 2 times (exit code 1), and is started again",
    ]);
  });

  it("is a failure when the policy has given up: the reason and the end of the log", async () => {
    looks(RESTARTS, RESTARTS, { state: "failed", restart_at: null, failure: "no such command" });
    await expect(ready()).rejects.toThrow(
      /ended once before it was ready: no such command\.[\s\S]*state database is locked/,
    );
  });

  it("is a failure when it has ended so often that the policy takes its time", async () => {
    looks(RESTARTS, RESTARTS, STARTS, { ...RESTARTS, restart_at: new Date(Date.now() + 60_000).toISOString() });
    await expect(ready()).rejects.toThrow("ended 2 times before it was ready: exit code 1.");
  });

  it("is a failure when somebody has stopped it", async () => {
    looks({ state: "stopped", restart_at: null, exit_code: null, failure: null });
    await expect(ready()).rejects.toThrow("ended once before it was ready: it was stopped.");
    expect(told).toEqual([]);
  });
});
