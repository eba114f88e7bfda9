import { once } from "node:events";
import http from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { WebSocket } from "ws";
import type { InstanceView } from "@aegis/protocol/instance";
import { daemonFixture, ndjson } from "../daemon-fixture.ts";
import type { DaemonFixture } from "../daemon-fixture.ts";

const FOREVER = ["sleep", "1000"];
const CAPABILITIES = {
  spawn: true,
  spawn_depth: 1,
  max_children: 4,
  allowed_images: ["*"],
  max_memory_mb: 512,
  max_vcpus: 1,
  max_expose_ports: 2,
  allowed_workspaces: ["*"],
};

interface Guest {
  id: string;
  open(): Promise<Duplex>;
  call(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown>; text: string }>;
}

async function bootParent(daemon: DaemonFixture, handle = "parent"): Promise<Guest> {
  const { body } = await daemon.call<InstanceView>("POST", "/v1/instances", {
    handle,
    command: FOREVER,
    capabilities: CAPABILITIES,
  });
  await daemon.reaches(body.id, "running");
  const open = async () => {
    const machine = daemon.driver.machine(body.id);
    if (machine === null) throw new Error("no machine");
    return machine.harness.openStream({ kind: "guest_api" });
  };
  return { id: body.id, open, call: (method, path, value) => call(open, method, path, value) };
}

async function call(open: Guest["open"], method: string, path: string, value: unknown) {
  const stream = await open();
  const body = value === undefined ? undefined : JSON.stringify(value);
  const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": body.length };
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  http
    .request({ createConnection: () => stream, method, path, headers }, resolve)
    .on("error", reject)
    .end(body);
  const answer = await promise;
  const said = await text(answer);
  stream.end();
  const isJson = answer.headers["content-type"]?.startsWith("application/json") === true;
  return {
    status: answer.statusCode ?? 0,
    body: (isJson ? JSON.parse(said) : {}) as Record<string, unknown>,
    text: said,
  };
}

it("carries files of a child's workspace, and of nobody else's", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  const other = await bootParent(daemon, "other");
  const spawned = await parent.call("POST", "/v1/instances", { handle: "child", command: FOREVER, workspace: "w" });
  expect(spawned.status).toBe(201);
  const file = "/v1/instances/child/workspace?path=in/put";
  expect((await parent.call("POST", file, { a: 1 })).body).toMatchObject({ path: "in/put", size: 7 });
  expect((await parent.call("GET", file)).text).toBe('{"a":1}');
  expect((await parent.call("GET", "/v1/instances/child/workspace/tree")).body).toMatchObject({ truncated: false });
  for (const method of ["GET", "POST", "DELETE"])
    expect(await other.call(method, file)).toMatchObject({ status: 404, body: { code: "instance_not_found" } });
  expect((await other.call("GET", "/v1/instances/child/workspace/tree")).status).toBe(404);
});

it("tells of its children, and of nobody else", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  const other = await bootParent(daemon, "other");
  await other.call("POST", "/v1/instances", { handle: "theirs", command: FOREVER });
  await parent.call("POST", "/v1/instances", { handle: "mine", command: FOREVER });
  await parent.call("DELETE", "/v1/instances/mine");
  const events = ndjson((await parent.call("GET", "/v1/events?follow=false")).text);
  expect(new Set(events.map(({ handle }) => handle))).toEqual(new Set(["mine"]));
  expect(events[0]).toMatchObject({ type: "instance.created", parent_id: parent.id });
  expect(events.at(-1)).toMatchObject({ type: "instance.deleted" });
  const last = Number(events.at(-2)?.["seq"]);
  const later = ndjson((await parent.call("GET", `/v1/events?follow=false&since_seq=${last}`)).text);
  expect(later).toEqual([]); // by then it is no child any more, and that it was one is said earlier
});

it("restarts itself: the answer comes first, and not in a loop", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  const answer = await parent.call("POST", "/v1/self/restart");
  expect([answer.status, answer.body["state"]]).toEqual([202, "restarting"]);
  const history = async () =>
    (await daemon.get(parent.id)).power_history?.map(({ state, reason }) => `${state}: ${reason}`);
  await expect.poll(history).toContain("running: restarted by request");
  expect(await parent.call("POST", "/v1/self/restart")).toMatchObject({
    status: 429,
    body: { code: "quota_exceeded" },
  });
});

it("closes ports again", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  await parent.call("POST", "/v1/instances", { handle: "child", command: FOREVER, exposes: [80] });
  expect((await parent.call("DELETE", "/v1/instances/child/expose/80")).status).toBe(204);
  expect(await parent.call("DELETE", "/v1/instances/child/expose/80")).toMatchObject({ status: 404 });
  expect(await parent.call("DELETE", "/v1/self/expose/80")).toMatchObject({ body: { code: "endpoint_not_found" } });
  expect((await parent.call("DELETE", "/v1/self/expose/x")).status).toBe(400);
});

it("runs commands of its children over a WebSocket, and of nobody else's", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  const other = await bootParent(daemon, "other");
  const { id } = (await parent.call("POST", "/v1/instances", { handle: "child", command: FOREVER })).body;
  await daemon.reaches(String(id), "running");
  const firstWord = async (guest: Guest, query: string, message?: string) => {
    const stream = await guest.open();
    const socket = new WebSocket(`ws://x/v1/instances/child/exec${query}`, { createConnection: () => stream });
    if (message !== undefined) socket.once("open", () => socket.send(message));
    const [data] = (await once(socket, "message")) as [Buffer];
    socket.terminate();
    stream.end();
    return JSON.parse(data.toString()) as unknown;
  };
  const request = JSON.stringify({ command: ["echo", "hi"] });
  const inUrl = `?request=${encodeURIComponent(request)}`;
  const started = { exec_id: expect.stringMatching(/^exec-/) };
  expect(await firstWord(parent, inUrl)).toMatchObject(started);
  expect(await firstWord(parent, "", request)).toMatchObject(started);
  const long = JSON.stringify({ command: ["echo", "x".repeat(100_000)] });
  expect(await firstWord(parent, "", long)).toMatchObject(started);
  expect(await firstWord(parent, "", "no JSON")).toMatchObject({ code: "invalid_json" });
  expect(await firstWord(other, inUrl)).toMatchObject({ code: "instance_not_found" });
  expect(await firstWord(other, "", request)).toMatchObject({ code: "instance_not_found" });
});

it("survives every target of an upgrade", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  for (const target of [
    "//",
    "/v1/instances/%/exec",
    "/v1/instances/a/exec/b",
    "http://x:y:z/",
    "/v1/instances/%ff/exec",
  ]) {
    const stream = await parent.open();
    stream.write(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`);
    stream.write("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    expect([target, (await text(stream)).split("\r\n")[0]]).toEqual([target, "HTTP/1.1 404 Not Found"]);
  }
  expect((await parent.call("GET", "/v1/self")).status).toBe(200);
});

it("has a word for what is no request, for headers without end and for too many connections", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  const say = async (bytes: string) => {
    const stream = await parent.open();
    stream.write(bytes);
    return text(stream);
  };
  expect(await say("hello?\r\n\r\n")).toMatch(/^HTTP\/1.1 400 .*"code":"invalid_request"/s);
  expect(await say(`GET / HTTP/1.1\r\nX: ${"x".repeat(20_000)}\r\n`)).toMatch(/^HTTP\/1.1 431 .*16 KiB/s);
  const held = await Promise.all(Array.from({ length: 128 }, () => parent.open()));
  expect(await text(await parent.open())).toMatch(/^HTTP\/1.1 429 .*"code":"quota_exceeded"/s);
  for (const stream of held) stream.resume().end();
  await expect.poll(async () => (await parent.call("GET", "/v1/self")).status).toBe(200);
});

it("waits for nobody who begins a request and never ends it", async () => {
  const daemon = await daemonFixture();
  const parent = await bootParent(daemon);
  const stream = await parent.open();
  stream.write("GET /v1/self HTTP/1.1\r\nX-Slow: ");
  expect(await text(stream)).toMatch(/^HTTP\/1.1 408 .*took too long/s);
});
