import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { toolSpecs } from "../../guest/plugin/work-tools.ts";
import manifest from "../../guest/plugin/openclaw.plugin.json" with { type: "json" };
import { ann, ben, plugin } from "./plugin-fixture.ts";

test("the manifest names every tool, or OpenClaw hides it", () => {
  expect(manifest.contracts.tools).toEqual(toolSpecs.map(({ name }) => name));
});

test("a task gets an instance with the model, a site and a workspace of its own", async () => {
  const { double, boot } = await plugin();
  const answer = await boot().run("work_spawn", ann, { task: "build a site", image: "", ports: null });
  expect(answer).toContain("Started work-1");
  expect(answer).not.toContain("http://");
  const [body] = double.spawned;
  expect(body).toMatchObject({
    handle: "work-1",
    workspace: expect.stringMatching(/^work-1-[0-9a-f]{8}$/),
    image_ref: "claw",
    command: ["node", "/opt/claw/work.mjs"],
    exposes: [8080],
    bindings: ["llm"],
    memory_mb: 1536,
  });
  expect(JSON.parse(body?.env?.["CLAW_WORK"] ?? "")).toMatchObject({
    port: 8080,
    job: { kind: "task", task: "build a site" },
  });
});

test("a command gets no model; with ports it is a server", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { command: "make" });
  await run("work_spawn", ann, { command: "serve", ports: [3000, "3001", 3000] });
  expect(double.spawned.map(({ bindings, exposes }) => ({ bindings, exposes }))).toEqual([
    { bindings: [], exposes: [] },
    { bindings: [], exposes: [3000, 3001] },
  ]);
  expect(JSON.parse(double.spawned[1]?.env?.["CLAW_WORK"] ?? "")).toMatchObject({ port: 3000, job: { server: true } });
});

test("another image runs the command itself, and cannot take a task", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  expect(await run("work_spawn", ann, { task: "x", image: "python:3" })).toContain(
    "needs the agent of the default image",
  );
  await run("work_spawn", ann, { command: "python -V", image: "python:3" });
  expect(double.spawned[0]).toMatchObject({
    image_ref: "python:3",
    command: ["sh", "-c", expect.stringContaining("/workspace/out"), "work", "python -V"],
    env: {},
    pause_after_idle_s: null,
  });
});

test("names are numbers that are never used twice, or what the model says", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  double.children.length = 0;
  await run("work_spawn", ann, { task: "two" });
  await run("work_spawn", ann, { task: "three", name: "Lobster Site!" });
  expect(double.spawned.map(({ handle }) => handle)).toEqual(["work-1", "work-2", "work-lobster-site"]);
  expect(await run("work_spawn", ann, { task: "four", name: "lobster-site" })).toContain("exists already");
  expect(await run("work_spawn", ann, { task: "five", name: "../.." })).toContain("no name");
});

test("a name that somebody else has is passed over", async () => {
  const { double, boot } = await plugin();
  double.refusal = { status: 409, body: { error: "taken", code: "handle_taken" } };
  expect(await boot().run("work_spawn", ann, { task: "one" })).toContain("Started work-2");
});

test("the same task twice is one", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  expect(await run("work_spawn", ann, { task: "one" })).toContain("work-1 is doing exactly this already");
  expect(double.spawned).toHaveLength(1);
});

test.each([
  [{}, 'either "task" or "command"'],
  [{ task: "a", command: "b" }, 'either "task" or "command"'],
  [{ task: "a", memory_mb: 9000 }, "at most 4096 MB"],
  [{ task: "a", memory_mb: "lots" }, "memory_mb"],
  [{ task: "a", ports: [70_000] }, "1 to 65535"],
  [{ task: "a", ports: "80" }, "list of port numbers"],
  [{ task: "a", network: [] }, '"network" must be'],
  [{ task: "a", network: [5] }, '"network" must be'],
  [{ task: "a", lifetime: "soon" }, '"lifetime" must be a duration'],
  [{ task: 5 }, "must be text"],
])("a wish that cannot be met is answered: %o", async (params, reason) => {
  const { double, boot } = await plugin();
  expect(await boot().run("work_spawn", ann, params)).toContain(reason);
  expect(double.spawned).toEqual([]);
});

test("what the host refuses is said in its words", async () => {
  const { double, boot } = await plugin();
  double.refusal = { status: 422, body: { error: "8 of 8 children exist", code: "capability_refused" } };
  expect(await boot().run("work_spawn", ann, { task: "x" })).toBe(
    "work_spawn failed. The host does not allow it: 8 of 8 children exist",
  );
});

test("a chat sees its own work only, by name or the newest", async () => {
  const { boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  await run("work_spawn", ann, { task: "two" });
  await run("work_spawn", ben, { task: "three" });
  expect(await run("work_list", ann)).toBe("work-2: running, working (two)\nwork-1: running, working (one)");
  expect(await run("work_status", ann)).toContain("work-2: running");
  expect(await run("work_status", ann, { name: "1" })).toContain("work-1: running");
  for (const tool of ["work_status", "work_logs", "work_stop", "work_preview"])
    expect(await run(tool, ann, { name: "work-3" })).toContain('no work named "work-3"');
  expect(await run("work_list", { ...ann, session: "stranger" })).toBe("This chat has no work instance.");
});

test("logs are for people", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  double.log("work-1", "plain");
  double.log("work-1", { claw: "progress", text: "wrote index.html" });
  expect(await run("work_logs", ann)).toBe("work-1:\nplain\n• wrote index.html");
  expect(await run("work_logs", ann, { tail: 1 })).toBe("work-1:\n• wrote index.html");
});

test("a command in a stopped instance starts it first", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  expect(await run("work_stop", ann)).toContain("stopped");
  expect(double.child("work-1").state).toBe("stopped");
  expect(await run("work_exec", ann, { command: "echo hi" })).toBe("hi\nexit code 0");
  expect(double.child("work-1").state).toBe("running");
});

test.each([
  ["none", { mode: "none" }],
  ["open", { mode: "open" }],
  [["none"], { mode: "none" }],
  ["pypi.org, files.pythonhosted.org:443", { mode: "allowlist", allow: ["pypi.org", "files.pythonhosted.org:443"] }],
  [["pypi.org"], { mode: "allowlist", allow: ["pypi.org"] }],
])("network %o", async (network, expected) => {
  const { double, boot } = await plugin();
  await boot().run("work_spawn", ann, { task: "x", network, lifetime: "2h" });
  expect(double.spawned[0]).toMatchObject({ network: expected, lifetime_s: 7200 });
});

test("a server in another image speaks through the shell", async () => {
  const { double, boot } = await plugin();
  await boot().run("work_spawn", ann, { command: "python -m http.server 3000", image: "python:3", ports: [3000] });
  expect(double.spawned[0]).toMatchObject({ exposes: [3000], pause_after_idle_s: 60 });
  expect(double.spawned[0]?.command?.[2]).toContain("0BB8");
});

test("stopped work is resumed and watched; what was done is not done again", async () => {
  const { double, boot, chat } = await plugin();
  const { run, store, watcher } = boot();
  await run("work_spawn", ann, { task: "one" });
  expect(await run("work_resume", ann)).toBe("work-1 is running; there is nothing to resume.");
  await run("work_stop", ann);
  await watcher.idle();
  expect(chat.texts.at(-1)).toMatch(/^⏹ work-1 was stopped/);
  expect(await run("work_resume", ann)).toBe("work-1 is working again.");
  expect(store.running()).toHaveLength(1);
  double.log("work-1", { claw: "done", ok: true, text: "ok", seconds: 1, site: false });
  await watcher.idle();
  await run("work_stop", ann);
  expect(await run("work_resume", ann)).toContain("is not done again");
  expect(store.running()).toEqual([]);
});

test("a task that failed is stopped and started, for its machine still shows why", async () => {
  const { double, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "one" });
  double.log("work-1", { claw: "done", ok: false, text: "no", seconds: 1, site: false });
  await watcher.idle();
  expect(await run("work_resume", ann)).toBe("work-1 is working again.");
  expect(double.calls).toContain("POST /v1/instances/inst-1/stop");
});

test("nothing starts work again whose time is over", async () => {
  const { double, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "one", lifetime: "1h" });
  Object.assign(double.child("work-1"), { state: "stopped", exit_code: 143, expires_at: "2020-01-01T00:00:00Z" });
  await watcher.idle();
  expect(await run("work_resume", ann)).toContain("The time of work-1 is over");
});

test("links with a password, for one browser, for a time", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one", ports: [3000] });
  expect(await run("work_preview", ann)).toBe("port 8080: http://127.0.0.1:20010\nport 3000: http://127.0.0.1:20011");
  double.publicUrl = "https://x.example.org";
  expect(await run("work_preview", ann, { port: 3000 })).toMatch(/^https:\/\/x\.example\.org\/p\/\S+$/);
  const special = await run("work_preview", ann, { password: "sesame", once: true, for: "2h" });
  expect(special).toContain("(asks for the password, opens for one browser only, ends at ");
  expect(special).not.toContain("sesame");
  expect(await run("work_preview", ann, { port: 3000 })).not.toContain(special.split("\n")[0]);
  expect(await run("work_preview", ann, { port: 99 })).toContain("no public port 99");
});

test("links on demand", async () => {
  const { boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  expect(await run("work_preview", ann)).toBe("http://127.0.0.1:20010");
});

/** As OpenClaw keeps what somebody has sent. */
function sent(name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "claw-inbound-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name.replace(/(\.\w+)?$/, "---0f0e0d0c-0b0a-4908-8706-050403020100$1"));
  writeFileSync(path, text);
  return path;
}

test("files of the chat are there before the work begins, under the names they were sent with", async () => {
  const { double, boot } = await plugin();
  const { run, inbox } = boot();
  const path = sent("table.csv", "n,2");
  inbox.remember("ann", [path, sent("photo.jpg", "jpeg")]);
  await run("work_spawn", ann, { command: "wc -l in/table.csv", files: [`media://inbound/${path}`, "PHOTO.jpg"] });
  expect(Object.fromEntries(double.files)).toEqual({
    "work-1/in/table.csv": "n,2",
    "work-1/in/photo.jpg": "jpeg",
    "work-1/.claw/brought": "",
  });
  expect(JSON.parse(double.spawned[0]?.env?.["CLAW_WORK"] ?? "")).toMatchObject({ brings_files: true });
  await run("work_spawn", ann, { command: "cat in/table.csv", image: "python:3", files: "table.csv" });
  expect(double.spawned[1]?.command?.[2]).toContain("until [ -e .claw/brought ]");
  // an agent with a sandbox is told of the copy that was made for it
  const staged = `media/inbound/openclaw-staged-0f0e0d0c/input-${basename(path)}`;
  expect(await run("work_files", ann, { put: [staged] })).toContain("/workspace/in/table.csv");
  await run("work_spawn", ann, { command: "true" });
  expect(double.spawned[2]?.env?.["CLAW_WORK"]).not.toContain("brings_files");
});

test("work that goes on gets files too, also after the bot was started anew, and the newest of a name", async () => {
  const { double, boot } = await plugin();
  const first = boot();
  first.inbox.remember("ann", [sent("table.csv", "old")]);
  first.inbox.remember("ann", [sent("table.csv", "new")]);
  await first.run("work_spawn", ann, { command: "sleep 9" });
  expect(await boot().run("work_files", ann, { put: ["table.csv"] })).toBe(
    "They are there now: /workspace/in/table.csv",
  );
  expect(double.files.get("work-1/in/table.csv")).toBe("new");
});

test("a chat gets at its own files only, and hears what there is", async () => {
  const { double, boot } = await plugin();
  const { run, inbox } = boot();
  const path = sent("table.csv", "n");
  inbox.remember("ann", [path]);
  expect(await run("work_spawn", ben, { command: "x", files: [path] })).toContain(
    "Nobody has sent a file in this chat",
  );
  expect(await run("work_spawn", ann, { command: "x", files: ["/workspace/state/openclaw.json"] })).toContain(
    'Nobody has sent "/workspace/state/openclaw.json" in this chat. It has: table.csv.',
  );
  expect(double.spawned).toEqual([]);
});

test("a file that OpenClaw has cleared away is said, and no work waits for it for ever", async () => {
  const { double, boot } = await plugin();
  const { run, inbox } = boot();
  const path = sent("table.csv", "n");
  inbox.remember("ann", [path]);
  rmSync(path);
  expect(await run("work_spawn", ann, { command: "x", files: ["table.csv"] })).toContain(
    "table.csv is not there any more. Please send it again.",
  );
  expect(double.children).toEqual([]);
});
