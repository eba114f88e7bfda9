import { EventEmitter } from "node:events";
import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, expect, it } from "vitest";
import { humanSize } from "../src/render/human-size.ts";
import { humanAgo, humanDuration } from "../src/render/human-time.ts";
import { aegis, NOW } from "./run-in-test.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon.close());

const run = (line: string, more = {}) => aegis(line, { home: daemon.home, ...more });

const status = {
  status: "running",
  version: "0.1.0",
  backend: "container",
  capabilities: { pauseKeepsMemory: true, hibernates: false },
  pid: 42,
  home: "/h",
  uptime_s: 200,
  instances: { starting: 0, running: 2, paused: 1, stopped: 0, failed: 0 },
  router_port: 8099,
  default_image: "docker.io/library/node:24",
  disk: {
    path: "/h",
    low: true,
    free_bytes: 12 * 2 ** 30,
    floor_bytes: 0,
    used_bytes: 3 * 2 ** 30,
    budget_bytes: 2 ** 32,
  },
  audit: { last_seq: 7, problem: null, lost: 0 },
};

it("status says that it runs, and how", async () => {
  daemon.routes["GET /v1/status"] = () => ({ body: status });
  const { stdout } = await run("status");
  for (const text of [
    "running, pid 42, up 3 min",
    "2 running, 1 paused",
    "container (without hibernates)",
    "http://127.0.0.1:8099",
    "node:24",
    "12 GB free, 3.0 GB used of a budget of 4.0 GB: low, see aegis image prune",
  ])
    expect(stdout).toContain(text);
  expect(JSON.parse((await run("status --json")).stdout)).toEqual(status);
});

it("up says that it already runs", async () => {
  daemon.routes["GET /v1/status"] = () => ({ body: status });
  expect((await run("up")).stdout).toBe(`aegisd is already running (pid 42, ${daemon.home})\n`);
});

it("a secret comes from stdin, less its line break, and never from the line", async () => {
  daemon.routes["PUT /v1/secrets/KEY"] = () => ({ body: {} });
  expect(await run("secret set KEY", { stdin: "s3cret\n" })).toMatchObject({ code: 0, stdout: "stored KEY\n" });
  expect(daemon.calls[0]?.body).toEqual({ value: "s3cret" });
  expect((await run("secret set KEY", { stdin: "" })).stderr).toContain("KEY has no value");
  expect((await run("secret set KEY value")).code).toBe(2);
});

it("logs are lines, with dim notes of the system", async () => {
  const at = { ts: "2026-01-31T11:59:00.000Z", stream: "stdout" };
  const lines = [
    { ...at, source: "boot", line: "up" },
    { ...at, source: "system", line: "process exited (code 1)" },
  ];
  daemon.routes["GET /v1/instances/web/logs"] = () => ({ lines });
  expect((await run("logs web --tail 2")).stdout).toBe("up\n-- process exited (code 1)\n");
  expect(daemon.calls[0]?.query).toEqual({ tail: "2" });
  expect((await run("logs web -t")).stdout).toContain("2026-01-31T11:59:00.000Z up\n");
  expect(
    (await run("logs web --json")).stdout
      .split("\n")
      .filter(Boolean)
      .map((text) => JSON.parse(text) as unknown),
  ).toEqual(lines);
});

it("a follow ends well at Ctrl-C", async () => {
  const signals = new EventEmitter();
  daemon.routes["GET /v1/events"] = () => {
    setImmediate(() => signals.emit("SIGINT"));
    return { lines: [], open: true };
  };
  expect(await run("events", { signals })).toEqual({ code: 0, stdout: "", stderr: "" });
});

it("a pull shows each phase once and ends with the image", async () => {
  const image = { refs: ["a:1"], digest: "sha256:11", size_bytes: 3_000_000, created_at: "2026-01-01T00:00:00Z" };
  const step = { phase: "download", message: "downloading", done_bytes: 1, total_bytes: 2 };
  daemon.routes["POST /v1/images"] = () => ({ lines: [step, step, { done: true, image }] });
  expect(await run("image pull a:1")).toEqual({ code: 0, stdout: "a:1  sha256:11  2.9 MB\n", stderr: "downloading\n" });
  expect(JSON.parse((await run("image import lay a:1 --json")).stdout)).toEqual(image);
  expect(daemon.calls[1]?.body).toEqual({ ref: "a:1", layout: "/where/i/am/lay" });
});

it("warms an image for the size that is asked for", async () => {
  const warmed = { ref: "a:1", digest: "sha256:11", memory_mb: 1024, vcpus: 2, disk_mb: 10_240, took_ms: 4200 };
  daemon.routes["POST /v1/images/warm"] = () => ({ body: warmed });
  expect((await run("image warm a:1 --memory 1g --vcpus 2")).stdout).toBe(
    "new instances of a:1 with 1024 MB, 2 vcpus and a disk of 10240 MB start warm (4200 ms)\n",
  );
  expect(daemon.calls[0]?.body).toEqual({ ref: "a:1", memory_mb: 1024, vcpus: 2 });
});

it("a prune says what went and what that freed", async () => {
  const pruned = { deleted: ["docker.io/library/node:22"], freed_bytes: 3_000_000 };
  daemon.routes["POST /v1/images/prune"] = () => ({ body: pruned });
  expect((await run("image prune --all --older-than 7d")).stdout).toBe("deleted node:22\nfreed 2.9 MB\n");
  expect(JSON.parse((await run("image prune --json")).stdout)).toEqual(pruned);
  expect(daemon.calls.map(({ body }) => body)).toEqual([
    { all: true, unused_older_than_s: 604_800 },
    { all: false, unused_older_than_s: 0 },
  ]);
});

it("a pull that fails says the daemon's words", async () => {
  daemon.routes["POST /v1/images"] = () => ({ lines: [{ done: true, error: "no such tag", code: "image_not_found" }] });
  expect(await run("image pull a:1")).toEqual({ code: 1, stdout: "", stderr: "aegis: no such tag\n" });
});

it("doctor looks at everything and says what to do", async () => {
  const findings = JSON.parse((await run("doctor --json")).stdout) as {
    name: string;
    verdict: string;
    fix: string | null;
  }[];
  const names = findings.map(({ name }) => name);
  for (const name of [
    "account",
    "OCI runtime",
    "skopeo",
    "umoci",
    "cgroups",
    "user namespaces",
    "overlayfs",
    "disk",
    "swap",
    "driver",
    "KVM",
    "aegisd",
  ])
    expect(names).toContain(name);
  for (const { verdict, fix } of findings) expect(fix === null).toBe(verdict === "good");
});

it("times and sizes are for people", () => {
  expect([0.4, 45, 60, 3599, 3600, 7200, 200_000].map(humanDuration)).toEqual([
    "0 s",
    "45 s",
    "1 min",
    "59 min",
    "1 hour",
    "2 hours",
    "2 days",
  ]);
  expect(humanAgo("2026-01-31T11:57:00Z", NOW)).toBe("3 min ago");
  expect(humanAgo("2026-01-31T12:00:05Z", NOW)).toBe("just now");
  expect([0, 1023, 1024, 10_485_760, 1_500_000_000].map(humanSize)).toEqual([
    "0 B",
    "1023 B",
    "1.0 KB",
    "10 MB",
    "1.4 GB",
  ]);
});

it("the audit log is lines: who, what, on what, and why not", async () => {
  const bot = { kind: "instance", instance_id: "inst-1", handle: "bot", boot: 2 };
  const ts = "2026-01-31T11:59:00.000Z";
  const entries = [
    {
      seq: 7,
      ts,
      actor: { kind: "host", uid: 1000 },
      action: "instance.exec",
      target: "inst-1",
      decision: "allowed",
      reason: null,
      detail: "sh and 2 arguments",
    },
    {
      seq: 8,
      ts,
      actor: bot,
      action: "instance.create",
      target: "big\u001b[2J\u0007",
      decision: "refused",
      reason: "too big",
      more: 512,
    },
  ];
  daemon.routes["GET /v1/audit"] = () => ({ lines: entries });
  daemon.routes["GET /v1/instances"] = () => ({ body: [{ id: "inst-1", handle: "bot" }] });
  expect((await run("audit --refused --since 2h --instance bot")).stdout.split("\n")).toEqual([
    `${ts}  7  user 1000       allowed  instance.exec  bot (sh and 2 arguments)`,
    `${ts}  8  bot, boot 2     refused  instance.create  big  and 511 more of the same: too big`,
    "",
  ]);
  expect(daemon.calls.at(-1)?.query).toEqual({
    limit: "1000",
    instance: "bot",
    decision: "refused",
    since: new Date(NOW - 7_200_000).toISOString(),
  });
  expect((await run("audit --json")).stdout).toBe(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  expect((await run("audit --since yesterday")).code).toBe(2);
});

it("a changed audit log is an error", async () => {
  const whole = { entries: 9, files: 1, first_seq: 1, last_seq: 9, broken: null };
  daemon.routes["GET /v1/audit/verify"] = () => ({ body: whole });
  expect(await run("audit verify")).toMatchObject({ code: 0, stdout: "9 entries (1 to 9) in 1 files, unbroken\n" });
  daemon.routes["GET /v1/audit/verify"] = () => ({ body: { ...whole, broken: "entry 3 is missing" } });
  expect(await run("audit verify")).toMatchObject({ code: 1, stdout: expect.stringContaining("entry 3 is missing") });
});

it("the key is changed, and it says what became of the secrets", async () => {
  daemon.routes["POST /v1/secrets/rotate-key"] = () => ({ body: { secrets: 3 } });
  expect((await run("secret rotate-key")).stdout).toContain("3 secrets are sealed with a new key");
  expect(JSON.parse((await run("secret rotate-key --json")).stdout)).toEqual({ secrets: 3 });
});
