import { expect, test } from "vitest";
import type { ChatCommand } from "../../guest/plugin/chat-commands.ts";
import { type ann as Person, ann, ben, plugin } from "./plugin-fixture.ts";

/** The plugin with one task of Ann's, and the commands that people type. */
async function withWork() {
  const { boot, ...around } = await plugin();
  const kit = boot();
  await kit.run("work_spawn", ann, { task: "build a site" });
  const say = async (who: typeof Person, command: ChatCommand, args = "") => {
    await kit.commands.run(command, args, who);
    return around.chat.messages.at(-1);
  };
  return { ...around, ...kit, boot, say };
}

const labels = (rows: { text: string }[][] = []) => rows.map((row) => row.map(({ text }) => text));

test("/work lists the chat's own work, newest first, with a row of buttons for each", async () => {
  const { say, run, double } = await withWork();
  await run("work_spawn", ann, { command: "make" });
  double.child("work-2").state = "stopped";
  const list = await say(ann, "work");
  expect(list?.text).toBe("work-2: stopped, working (make)\nwork-1: running, working (build a site)");
  expect(labels(list?.buttons)).toEqual([
    ["📄 work-2", "▶ Resume", "🗑 Delete"],
    ["🔗 work-1", "📄 Logs", "⏹ Stop", "🗑 Delete"],
  ]);
  expect(list?.buttons.flat().every(({ data }) => Buffer.byteLength(data) <= 64)).toBe(true);
  const nobody = await say(ben, "work");
  expect(nobody?.text).toContain("no work instance");
  expect(nobody?.buttons).toEqual([]);
});

test("/work NAME, /logs, /preview and /help answer in the chat", async () => {
  const { say, double } = await withWork();
  expect((await say(ann, "work", "1"))?.text).toContain("job: build a site");
  double.log("work-1", "hello");
  expect((await say(ann, "logs"))?.text).toBe("work-1:\nhello");
  expect((await say(ben, "logs", "work-1"))?.text).toBe("This chat has no work instance.");
  expect((await say(ann, "preview"))?.text).toBe("http://127.0.0.1:20010");
  expect((await say(ann, "help"))?.text).toContain("/usage");
  expect((await say(ann, "work", "nothing"))?.text).toContain('no work named "nothing"');
});

test("/preview is a preview link where there is a public address, the new one when that changes", async () => {
  const { say, double } = await withWork();
  double.publicUrl = "https://one.example.org";
  expect((await say(ann, "preview"))?.text).toBe("https://one.example.org/p/p-work-1-1/");
  double.publicUrl = "https://two.example.org";
  expect((await say(ann, "preview"))?.text).toBe("https://two.example.org/p/p-work-1-1/");
});

test("/stop is about what is going on, /stop NAME about that; with nothing going on it says nothing", async () => {
  const { say, run, double, chat, store, watcher } = await withWork();
  await run("work_spawn", ann, { task: "two" });
  double.log("work-2", { claw: "done", ok: true, text: "ok", seconds: 1, site: false });
  await expect.poll(() => store.running().map(({ handle }) => handle)).toEqual(["work-1"]);
  expect((await say(ann, "stop"))?.text).toContain("work-1 is stopped");
  expect(double.child("work-2").state).toBe("running");
  await watcher.idle();
  const before = chat.messages.length;
  await say(ann, "stop");
  expect(chat.messages).toHaveLength(before);
  expect((await say(ann, "stop", "work-2"))?.text).toContain("work-2 is stopped");
});

test("/usage: time, tokens, cost and memory of the bot and of this chat's work", async () => {
  const { say, double } = await withWork();
  const [llm] = double.child("work-1").bindings;
  Object.assign(llm?.usage ?? {}, { requests: 3, input_tokens: 12_345, output_tokens: 678 });
  const { text } = (await say(ann, "usage")) ?? { text: "" };
  expect(text).toContain("bot: 734 MB of 2048 MB in memory, 9.0k + 1.0k tokens ($0.04) for all chats");
  expect(text).toMatch(/work-1: \d+ s, 12\.3k \+ 678 tokens \(\$0\.05\), running, no memory/);
  expect((await say(ben, "usage"))?.text).not.toContain("work-1");
});

test("buttons: open, logs, stop, resume, and delete after a question", async () => {
  const { say, double, chat, commands, store } = await withWork();
  await say(ann, "work");
  const message = chat.messages.length - 1;
  const press = async (verb: string, who = ann) => {
    await commands.pressed(`${verb}:inst-1`, who.chat, message);
    return chat.messages.at(-1)?.text;
  };
  const shown = () => chat.messages[message]?.text;
  expect(await press("open")).toBe("http://127.0.0.1:20010");
  double.log("work-1", "hello");
  expect(await press("logs")).toBe("work-1:\nhello");
  await press("stop");
  expect(shown()).toContain("work-1: stopped");
  await expect.poll(() => store.running()).toEqual([]);
  await press("resume");
  expect(shown()).toContain("work-1: running");
  await press("delete");
  expect(shown()).toContain("Delete work-1 (build a site)?");
  await press("list");
  expect(shown()).toContain("work-1: running");
  await press("really-delete");
  expect(shown()).toContain("no work instance");
  expect(double.children).toEqual([]);
  expect(await press("open")).toContain("does not exist any more");
});

test("a button of another chat, or one that somebody made up, does nothing", async () => {
  const { double, chat, commands } = await withWork();
  const elsewhere = [ben.chat, { ...ann.chat, threadId: 7 }, { ...ann.chat, channel: "other" }];
  for (const chatOf of elsewhere) await commands.pressed("really-delete:inst-1", chatOf, 0);
  await commands.pressed("format-disk:inst-1", ann.chat, 0);
  expect(double.children).toHaveLength(1);
  expect(double.child("work-1").state).toBe("running");
  expect(chat.texts.filter((text) => text.includes("does not exist any more"))).toHaveLength(3);
  expect(chat.texts.at(-1)).toContain("another version");
});

test("what the host refuses is said", async () => {
  const { say, double } = await withWork();
  double.children.length = 0;
  expect((await say(ann, "work", "work-1"))?.text).toContain("no instance");
});
