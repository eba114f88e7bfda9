import { EventEmitter } from "node:events";
import type { LogLine } from "@aegis/protocol/exec";
import type { InstanceView } from "@aegis/protocol/instance";
import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LogCursor } from "../src/run/log-cursor.ts";
import { anInstance } from "./an-instance.ts";
import { aegis } from "./run-in-test.ts";

let daemon: FakeDaemon;
let state: "running" | "stopped" | "failed";
let others: InstanceView[];
beforeEach(async () => {
  others = [];
  state = "stopped";
  daemon = await FakeDaemon.start({
    "GET /v1/instances": () => ({ body: others }),
    "POST /v1/instances": () => ({ status: 201, body: anInstance({ state: "starting", endpoints: [] }) }),
    "GET /v1/instances/inst-1": () => ({ body: anInstance({ state, exit_code: state === "stopped" ? 3 : null }) }),
    "GET /v1/instances/inst-1/logs": () => ({ lines: [] }),
    "DELETE /v1/instances/inst-1": () => ({}),
    "POST /v1/instances/inst-1/lease": () => ({ body: { lease_id: "l-1" } }),
    "DELETE /v1/instances/inst-1/lease/l-1": () => ({}),
  });
});
afterEach(() => daemon.close());

const line = (text: string, stream: LogLine["stream"] = "stdout", source: LogLine["source"] = "boot"): LogLine => ({
  ts: "2026-01-31T12:00:01.000Z",
  stream,
  source,
  line: text,
});
const called = (method: string, path: string) =>
  daemon.calls.filter((call) => call.method === method && call.path === path);

it("prints what it prints, on the stream it prints it to, once, and ends with its exit code", async () => {
  const written = [line("one"), line("two", "stderr"), line("a tick", "stdout", "exec"), line("one")];
  daemon.routes["GET /v1/instances/inst-1/logs"] = ({ query }) =>
    query["follow"] === undefined ? { lines: written } : { lines: written.slice(0, 2), open: true };
  const { code, stdout, stderr } = await aegis("run --idle-timeout never -- sh", { home: daemon.home });
  expect({ code, stdout, stderr }).toEqual({ code: 3, stdout: "one\none\n", stderr: expect.stringContaining("two\n") });
  expect(called("POST", "/v1/instances/inst-1/lease")).toHaveLength(0);
});

it("keeps it awake while attached, and deletes it with --rm", async () => {
  await aegis("run --rm -- sh", { home: daemon.home });
  expect(called("POST", "/v1/instances/inst-1/lease")).toHaveLength(1);
  expect(called("DELETE", "/v1/instances/inst-1")).toHaveLength(1);
});

it("says why it failed", async () => {
  daemon.routes["GET /v1/instances/inst-1"] = () => ({
    body: anInstance({ state: "failed", failure: "out of memory", exit_code: 137 }),
  });
  const { code, stderr } = await aegis("run -- sh", { home: daemon.home });
  expect(code).toBe(137);
  expect(stderr).toContain("aegis: web failed: out of memory");
});

it("stops it at the first Ctrl-C and leaves it at the second", async () => {
  state = "running";
  const signals = new EventEmitter();
  daemon.routes["GET /v1/events"] = () => {
    queueMicrotask(() => signals.emit("SIGINT"));
    return { lines: [], open: true };
  };
  daemon.routes["POST /v1/instances/inst-1/stop"] = () => {
    signals.emit("SIGINT");
    return { body: {} };
  };
  const { code, stderr } = await aegis("run --rm -- sh", { home: daemon.home, signals });
  expect(code).toBe(130);
  expect(stderr).toContain("stopping web");
  expect(called("DELETE", "/v1/instances/inst-1")).toHaveLength(0);
  expect(signals.listenerCount("SIGINT")).toBe(0);
});

it("prints the name alone with --detach", async () => {
  state = "running";
  expect(await aegis("run -d -- sh", { home: daemon.home })).toMatchObject({ code: 0, stdout: "web\n" });
});

it("takes the words behind the options as the command where there is no --", async () => {
  state = "running";
  await aegis("run -d --name web ls -l --json", { home: daemon.home });
  expect(called("POST", "/v1/instances")[0]?.body).toEqual({ handle: "web", command: ["ls", "-l", "--json"] });
});

it("tells equal lines of one moment apart when it reads on", () => {
  const cursor = new LogCursor("2026-01-31T12:00:00.000Z");
  for (const text of ["a", "b", "b"]) cursor.pass(line(text));
  expect(cursor.since).toBe("2026-01-31T12:00:01.000Z");
  expect(["a", "b", "b", "b", "c"].map((text) => line(text)).filter(cursor.fresh())).toEqual([line("b"), line("c")]);
});

it("refuses the name of an instance that was made for another command, and runs nothing", async () => {
  others = [anInstance({ handle: "web", command: ["serve"] })];
  const { code, stderr } = await aegis("run --name web -- true", { home: daemon.home });
  expect(code).toBe(1);
  expect(stderr).toContain("aegis exec web");
  expect(called("POST", "/v1/instances")).toEqual([]);
});
