import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ann, plugin } from "./plugin-fixture.ts";

const progress = (text: string) => ({ claw: "progress", text });
const done = { claw: "done", ok: true, text: "I made it.", seconds: 75, site: true };

test("progress is one message that is edited, the end another with the link, once", async () => {
  const { double, chat, informed, boot } = await plugin();
  const { run, watcher, awake, store } = boot();
  await run("work_spawn", ann, { task: "build a site" });
  double.log("work-1", progress("starting the agent"));
  await expect.poll(() => chat.texts).toEqual(["🛠 work-1: build a site\n⏳ starting the agent"]);
  expect(double.leases.size).toBe(1);
  double.log("work-1", progress("wrote index.html"));
  double.log("work-1", done);
  await watcher.idle();
  expect(chat.messages).toEqual([
    { to: "telegram:1", text: "🛠 work-1: build a site\n✓ starting the agent\n✓ wrote index.html", buttons: [] },
    {
      to: "telegram:1",
      text: "✅ work-1 is done after 1 min 15 s.\nI made it.\n\nhttp://127.0.0.1:20010",
      buttons: [],
    },
  ]);
  expect(informed).toEqual([{ text: expect.stringContaining("do not repeat it"), wake: false }]);
  expect(store.running()).toEqual([]);
  await awake.settled();
  expect(double.leases.size).toBe(0);
});

test("a bot that dies before it has noted what it told tells it again, and the chat sees it once", async () => {
  const { double, chat, config, boot } = await plugin();
  const first = boot();
  await first.run("work_spawn", ann, { task: "build a site" });
  const before = readFileSync(config.state_file, "utf8");
  double.log("work-1", progress("starting the agent"));
  await expect.poll(() => chat.texts).toHaveLength(1);
  double.log("work-1", done);
  await first.watcher.idle();
  const seen = chat.texts;
  writeFileSync(config.state_file, before);
  const second = boot();
  for (const work of second.store.running()) second.watcher.watch(work);
  await second.watcher.idle();
  expect(second.store.ofSession("ann")).toMatchObject([{ phase: "done" }]);
  expect(chat.texts).toEqual(seen);
});

test("work that has nothing to look at has no link", async () => {
  const { double, chat, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "count" });
  double.log("work-1", { ...done, site: false });
  await watcher.idle();
  expect(chat.texts.at(-1)).not.toContain("http");
});

test("the end says what the model took, and the link is the public one where there is one", async () => {
  const { double, chat, boot } = await plugin();
  double.publicUrl = "https://bot.example.org";
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "build" });
  const [llm] = double.child("work-1").bindings;
  Object.assign(llm?.usage ?? {}, { requests: 3, input_tokens: 12_345, output_tokens: 678 });
  double.log("work-1", done);
  await watcher.idle();
  expect(chat.texts).toEqual([
    "✅ work-1 is done after 1 min 15 s, 12.3k + 678 tokens ($0.05).\nI made it.\n\nhttps://bot.example.org/p/p-work-1-1/",
  ]);
});

test("a command shows what it prints", async () => {
  const { double, chat, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { command: "make", image: "gcc:14" });
  double.log("work-1", "compiling a.c");
  await expect.poll(() => chat.texts).toEqual(["🛠 work-1: make\n› compiling a.c"]);
  double.log("work-1", "process exited (code 0)", "system");
  Object.assign(double.child("work-1"), { state: "stopped", exit_code: 0 });
  await watcher.idle();
  expect(chat.texts.at(-1)).toContain("exit code 0 and these last lines:\ncompiling a.c");
});

test("a bot that starts again takes up the same message", async () => {
  const { double, chat, boot } = await plugin();
  const first = boot();
  await first.run("work_spawn", ann, { task: "build" });
  double.log("work-1", progress("one"));
  await expect.poll(() => first.store.running()[0]?.progress_message).toBe(0);
  await first.watcher.close();

  double.log("work-1", progress("two"));
  double.log("work-1", done);
  const second = boot();
  for (const work of second.store.running()) second.watcher.watch(work);
  await second.watcher.idle();
  expect(chat.texts).toHaveLength(2);
  expect(chat.texts[0]).toContain("✓ two");
  expect(boot().store.running()).toEqual([]);
});

test("a log that breaks off is read again, and nothing is told twice", async () => {
  const { double, chat, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "build" });
  double.log("work-1", progress("one"));
  await expect.poll(() => chat.texts).toHaveLength(1);
  double.cutFollowers();
  double.log("work-1", done);
  await watcher.idle();
  expect(chat.texts).toHaveLength(2);
});

test("the link comes though the chat is away for a moment", async () => {
  const { double, chat, informed, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "build" });
  chat.failures = 2;
  double.log("work-1", done);
  await watcher.idle();
  expect(chat.texts.filter((text) => text.includes("http"))).toHaveLength(1);
  expect(informed[0]?.wake).toBe(false);
});

test("an agent whose chat cannot be reached is woken instead", async () => {
  const { double, informed, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", { ...ann, chat: null }, { task: "build" });
  double.log("work-1", done);
  await watcher.idle();
  expect(informed).toEqual([{ text: expect.stringContaining("http://127.0.0.1:20010"), wake: true }]);
});

test.each([
  [
    "out of memory",
    { state: "failed", failure: "out of memory", exit_code: 137 },
    "process exited (code 137): out of memory",
    "it ran out of memory (it had 1536 MB)",
  ],
  [
    "an exit",
    { state: "stopped", failure: null, exit_code: 2 },
    "process exited (code 2)",
    "its process ended with exit code 2.\nlast words",
  ],
  [
    "a stop",
    { state: "stopped", failure: null, exit_code: 143 },
    "process exited (code 143): stopped by its parent",
    "before it was done.",
  ],
  [
    "the end of its time",
    { state: "stopped", failure: null, exit_code: 143, lifetime_s: 7200, expires_at: "2020-01-01T00:00:00Z" },
    "process exited (code 143): its lifetime is over",
    "its time was over (2 h)",
  ],
  [
    "success of a plain command",
    { state: "stopped", failure: null, exit_code: 0 },
    "process exited (code 0)",
    "✅ work-1 is done after",
  ],
  [
    "a boot that failed without a line",
    { state: "failed", failure: "image not found", exit_code: null },
    null,
    "image not found",
  ],
])("an instance that ends by itself: %s", async (_what, state, line, text) => {
  const { double, chat, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "build" });
  double.log("work-1", "last words");
  if (line !== null) double.log("work-1", line, "system");
  // the daemon writes the line before the state
  Object.assign(double.child("work-1"), state);
  await watcher.idle();
  expect(chat.texts).toHaveLength(1);
  expect(chat.texts[0]).toContain(text);
});

test("an instance that was deleted is told once", async () => {
  const { double, chat, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { task: "build" });
  double.children.length = 0;
  await watcher.idle();
  expect(chat.texts).toEqual([expect.stringMatching(/^❌ work-1 failed after .* it has been deleted\.$/)]);
});

test("the state file says whose work it is", async () => {
  const { config, boot } = await plugin();
  await boot().run("work_spawn", ann, { task: "build" });
  expect(JSON.parse(readFileSync(config.state_file, "utf8"))).toMatchObject({
    version: 1,
    last_number: 1,
    work: [{ handle: "work-1", session: "ann", phase: "running" }],
  });
});
