import { FakeDaemon } from "@aegis/sdk/test/fake-daemon";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { anInstance } from "./an-instance.ts";
import { aegis } from "./run-in-test.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon.close());

const run = (line: string | string[], more = {}) => aegis(line, { home: daemon.home, ...more });

describe("instance start", () => {
  beforeEach(() => {
    daemon.routes["POST /v1/instances"] = () => ({ status: 201, body: anInstance({ state: "starting" }) });
    daemon.routes["GET /v1/instances/inst-1"] = () => ({ body: anInstance() });
    daemon.routes["POST /v1/instances/web/start"] = () => ({ body: {} });
    daemon.routes["GET /v1/instances/web"] = () => ({ body: anInstance() });
  });

  it("turns every option into a field", async () => {
    const line =
      "instance start --name web --image node:24 --memory 2g --disk 20g --vcpus 1.5 --expose 8080:80 --expose 81/tcp --secret A " +
      "--secret B=c --workspace ./site --env X=1 --env Y=a=b --idle-timeout 90s --stop-after never --idle-policy leases_only --restart always --read-only --network allow=API.example.com:443,*.example.org " +
      "--pause-hook 80/ask --resume-hook ./go-on -- sleep 5";
    expect(await run(line)).toEqual({
      code: 0,
      stdout: "running web  http://127.0.0.1:8080\n",
      stderr: expect.any(String),
    });
    expect(daemon.calls[0]?.body).toEqual({
      handle: "web",
      command: ["sleep", "5"],
      image_ref: "node:24",
      memory_mb: 2048,
      disk_mb: 20_480,
      vcpus: 1.5,
      exposes: [
        { port: 80, public_port: 8080 },
        { port: 81, protocol: "tcp" },
      ],
      secrets: ["A", "B=c"],
      workspace: "/where/i/am/site",
      env: { X: "1", Y: "a=b" },
      pause_after_idle_s: 90,
      stop_after_paused_s: null,
      idle_policy: "leases_only",
      restart: "always",
      read_only_root: true,
      network: { mode: "allowlist", allow: ["api.example.com:443", "*.example.org"] },
      pause_hook: { http: { port: 80, path: "/ask" }, resume: { command: ["sh", "-c", "./go-on"] } },
    });
  });

  it("starts one that is there by its name alone", async () => {
    await run("instance start web");
    expect(daemon.calls[0]).toMatchObject({ method: "POST", path: "/v1/instances/web/start" });
  });

  it("leaves the command's own options alone, --json too", async () => {
    const { stdout } = await run("instance start web -- ls --json -x");
    expect(daemon.calls[0]?.body).toEqual({ handle: "web", command: ["ls", "--json", "-x"] });
    expect(stdout).toMatch(/^running web/);
  });

  it("says that an instance which was there keeps its own command", async () => {
    const { stderr } = await run("instance start web -- other");
    expect(stderr).toContain("web existed already and starts with its own command, sh -c echo hi");
  });

  it("fails with the reason when it does not come up", async () => {
    daemon.routes["GET /v1/instances/inst-1"] = () => ({
      body: anInstance({ state: "failed", failure: "no such image" }),
    });
    const { code, stderr } = await run("instance start --name web -- x");
    expect(code).toBe(1);
    expect(stderr).toContain("aegis: web did not start: no such image; see `aegis logs web`");
  });
});

describe("instance list and info", () => {
  it("is a table with aligned columns", async () => {
    daemon.routes["GET /v1/instances"] = () => ({
      body: [
        anInstance(),
        anInstance({ handle: "a-longer-name", state: "paused", endpoints: [], memory_mb: 16 }),
        anInstance({ handle: "off", state: "stopped", enabled: false, last_active_at: "2026-01-29T11:00:00Z" }),
      ],
    });
    const { stdout } = await run("instance list");
    expect(stdout).toBe(
      [
        "NAME           STATE     IMAGE    MEMORY  PORTS    ACTIVE",
        "web            running   node:24  512 MB  8080:80  3 min ago",
        "a-longer-name  paused    node:24  16 MB   -        3 min ago",
        "off            disabled  node:24  512 MB  8080:80  2 days ago",
        "",
      ].join("\n"),
    );
  });

  it("has colours on a terminal only, and not where NO_COLOR says no", async () => {
    daemon.routes["GET /v1/instances"] = () => ({ body: [anInstance()] });
    expect((await run("instance list", { tty: true })).stdout).toContain("\u001b[32mrunning");
    expect((await run("instance list", { tty: true, env: { NO_COLOR: "1" } })).stdout).not.toContain("\u001b");
    expect((await run("instance list")).stdout).not.toContain("\u001b");
  });

  it("is the API's own answer as JSON", async () => {
    daemon.routes["GET /v1/instances"] = () => ({ body: [anInstance()] });
    expect(JSON.parse((await run("instance list --json")).stdout)).toEqual([anInstance()]);
  });

  it("refuses a network that means nothing, before it asks the daemon", async () => {
    for (const [network, why] of [
      ["closed", "write it as open, none, or allow="],
      ["allow=", "names nothing"],
      ["allow=10.0.0.1", "is private"],
    ] as const) {
      const { code, stderr } = await run(`instance start web --network ${network} -- true`);
      expect(code, network).not.toBe(0);
      expect(stderr).toContain(why);
    }
    expect(daemon.calls).toEqual([]);
  });

  it("says everything about one", async () => {
    const network = { mode: "allowlist" as const, allow: ["api.example.com:443", "*.example.org"] };
    daemon.routes["GET /v1/instances/web"] = () => ({
      body: anInstance({ failure: "out of memory", exit_code: 137, network }),
    });
    const { stdout } = await run("instance info web");
    for (const text of [
      "inst-1",
      "out of memory",
      "137",
      "sh -c 'echo hi'",
      "pauses after 1 min, hibernates or stops 5 min later",
      "http://127.0.0.1:8080 -> 80",
      "4.8 MB, 1.5 s of CPU",
      "only api.example.com:443, *.example.org",
    ])
      expect(stdout).toContain(text);
  });

  it("tells in words what kept it awake, and what woke it", async () => {
    daemon.routes["GET /v1/instances/web"] = () => ({
      body: anInstance({
        wake_at: "2026-01-31T12:30:00Z",
        leases: [
          { lease_id: "lease-1", reason: "build", owner: "host", expires_at: "2026-01-31T12:02:00Z" },
          { lease_id: "lease-2", reason: "turn", owner: "inst-1", expires_at: "2026-01-31T12:00:30Z" },
        ],
        power_history: [
          { state: "starting", since: "2026-01-31T11:50:00Z", reason: "created" },
          { state: "starting", since: "2026-01-31T11:50:00Z", reason: "created" },
          { state: "running", since: "2026-01-31T11:50:01Z", reason: "created" },
          { state: "running", since: "2026-01-31T11:56:00Z", reason: "pause postponed: a turn is going on" },
          { state: "paused", since: "2026-01-31T11:57:00Z", reason: "idle for 60 s" },
          { state: "running", since: "2026-01-31T11:59:50Z", reason: "connection to 8080" },
        ],
      }),
    });
    const { stdout } = await run("instance info web");
    expect(stdout).toMatch(/wakes: +in 30 min, as it asked for/);
    expect(stdout).toContain("build (lease-1 of the host, 2 min left), turn (lease-2 of its own, 30 s left)");
    expect(stdout).toContain(
      "starting 10 min ago: created; running 9 min ago: created; still running 4 min ago: pause postponed: a turn is " +
        "going on; paused 3 min ago: idle for 60 s; woken 10 s ago: connection to 8080",
    );
  });

  it("reports the daemon's own words", async () => {
    daemon.routes["GET /v1/instances/x"] = () => ({
      status: 404,
      body: { error: "There is no x.", code: "instance_not_found" },
    });
    expect(await run("instance info x")).toEqual({ code: 1, stdout: "", stderr: "aegis: There is no x.\n" });
    expect(JSON.parse((await run("instance info x --json")).stdout)).toEqual({
      error: "There is no x.",
      code: "instance_not_found",
    });
  });
});

describe("verbs", () => {
  it.each([
    ["stop", "stopped web"],
    ["disable", "disabled web"],
    ["restart", "restarting web"],
    ["pause", "paused web"],
    ["hibernate", "hibernated web"],
    ["resume", "resumed web"],
  ])("%s", async (verb, said) => {
    daemon.routes[`POST /v1/instances/web/${verb}`] = () => ({ body: {} });
    expect(await run(`instance ${verb} web`)).toEqual({ code: 0, stdout: `${said}\n`, stderr: "" });
  });

  it("pauses against the will of the workload", async () => {
    daemon.routes["POST /v1/instances/web/pause"] = () => ({ body: {} });
    expect((await run("instance pause web --force")).stdout).toBe("paused web\n");
    expect(daemon.calls[0]?.body).toEqual({ force: true });
  });

  it("changes settings: only what was said goes out", async () => {
    daemon.routes["PATCH /v1/instances/web"] = () => ({
      body: anInstance({ pause_after_idle_s: null, idle_policy: "leases_only", restart: "on-failure" }),
    });
    const { stdout } = await run("instance set web --idle-timeout never --restart on-failure");
    expect(stdout).toBe("web never pauses, only leases count; restarts on failure\n");
    await run("instance set web --stop-after 2m --idle-policy leases_only");
    await run("instance set web --pause-hook none");
    await run("instance set web --no-hibernate");
    await run("instance set web --hibernate");
    expect(daemon.calls.map(({ body }) => body)).toEqual([
      { pause_after_idle_s: null, restart: "on-failure" },
      { stop_after_paused_s: 120, idle_policy: "leases_only" },
      { pause_hook: null },
      { hibernate: false },
      { hibernate: true },
    ]);
  });

  it.each([
    ["", "nothing to change"],
    ["--restart sometimes", "one of no, on-failure, always"],
    ["--idle-timeout soon", "write it as 90s"],
  ])("does not take `instance set web %s`", async (options, words) => {
    const { code, stderr } = await run(`instance set web ${options}`);
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });

  it("exposes, and prints the URL alone", async () => {
    daemon.routes["POST /v1/instances/web/expose"] = () => ({ body: { url: "http://127.0.0.1:9000" } });
    expect((await run("instance expose web 9000:80")).stdout).toBe("http://127.0.0.1:9000\n");
    expect(daemon.calls[0]?.body).toEqual({ port: 80, public_port: 9000 });
  });

  it("prunes what the time says", async () => {
    daemon.routes["POST /v1/instances/prune"] = () => ({ body: { deleted: ["old"] } });
    expect((await run("instance prune --older-than 2h")).stdout).toBe("deleted old\n");
    expect(daemon.calls[0]?.body).toEqual({ stopped_older_than_s: 7200 });
  });
});
