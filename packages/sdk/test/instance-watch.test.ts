import type { InstanceState } from "@aegis/protocol/instance";
import { afterEach, beforeEach, expect, it } from "vitest";
import { waitForInstance } from "../src/instance-watch.ts";
import { FakeDaemon } from "./fake-daemon.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon.close());

/** Each look at the instance gives the next state. */
function states(...list: InstanceState[]): void {
  daemon.routes["GET /v1/instances/web"] = daemon.routes["GET /v1/instances/inst-1"] = () => ({
    body: { id: "inst-1", handle: "web", state: list.length > 1 ? list.shift() : list[0], event_seq: 41 },
  });
}

const event = (fields: object) => ({ seq: 1, ts: new Date().toISOString(), instance_id: "inst-1", ...fields });
const isRunning = ({ state }: { state: InstanceState }) => state === "running";

it("needs no event when it is so already", async () => {
  states("running");
  expect((await waitForInstance(daemon.client, "web", isRunning)).state).toBe("running");
  expect(daemon.calls).toHaveLength(1);
});

it("looks again at each of its events, since the first look, tells progress, and ignores others", async () => {
  states("starting", "starting", "running");
  daemon.routes["GET /v1/events"] = () => ({
    lines: [
      event({ type: "instance.state", state: "running", instance_id: "inst-2" }),
      event({ type: "instance.boot_progress", message: "pulling" }),
      event({ type: "instance.state", state: "starting" }),
      event({ type: "instance.state", state: "running" }),
    ],
    open: true,
  });
  const said: string[] = [];
  const found = await waitForInstance(daemon.client, "web", isRunning, { onProgress: (text) => said.push(text) });
  expect(found.state).toBe("running");
  expect(said).toEqual(["pulling"]);
  expect(daemon.calls.filter(({ path }) => path.startsWith("/v1/instances"))).toHaveLength(3);
  expect(daemon.calls.find(({ path }) => path === "/v1/events")?.query).toEqual({ since_seq: "41" });
});

it("fails when the instance is deleted, or the daemon ends, meanwhile", async () => {
  states("starting");
  daemon.routes["GET /v1/events"] = () => ({ lines: [event({ type: "instance.deleted" })], open: true });
  await expect(waitForInstance(daemon.client, "web", isRunning)).rejects.toMatchObject({ code: "instance_deleted" });
  daemon.routes["GET /v1/events"] = () => ({ lines: [] });
  await expect(waitForInstance(daemon.client, "web", isRunning)).rejects.toMatchObject({ code: "unavailable" });
});
