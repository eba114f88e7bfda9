import { expect, test } from "vitest";
import { ann, plugin } from "./plugin-fixture.ts";

const done = { claw: "done", ok: true, text: "I made it.", seconds: 5, site: false };

test("what work leaves in its result folder reaches the chat when it is done, pictures as pictures", async () => {
  const { double, chat, boot } = await plugin();
  const { run, watcher } = boot();
  await run("work_spawn", ann, { command: "python plot.py", image: "python:3.12" });
  double.files.set("work-1/out/plot.png", "PNG");
  double.files.set("work-1/out/table.csv", "a,b");
  double.files.set("work-1/out/.cache", "no");
  double.files.set("work-1/plot.py", "no");
  double.log("work-1", done);
  await watcher.idle();
  expect(chat.files).toEqual([
    { name: "plot.png", picture: true, text: "PNG", caption: "work-1: out/plot.png" },
    { name: "table.csv", picture: false, text: "a,b", caption: "work-1: out/table.csv" },
  ]);
});

test("failed work sends no files, and too many are named", async () => {
  const { double, chat, boot } = await plugin();
  const { run, watcher } = boot();
  for (const name of ["work-1", "work-2"]) for (let n = 0; n < 8; n++) double.files.set(`${name}/out/${n}.txt`, "x");
  await run("work_spawn", ann, { command: "one" });
  double.log("work-1", { ...done, ok: false });
  await watcher.idle();
  expect(chat.files).toEqual([]);
  await run("work_spawn", ann, { command: "two" });
  double.log("work-2", done);
  await watcher.idle();
  expect(chat.files).toHaveLength(5);
  expect(chat.texts.at(-1)).toBe("work-2: 3 more files are in /workspace/out.");
});

test("a file is tried again while the chat is away, and told when it stays away", async () => {
  const { double, chat, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  double.files.set("work-1/out/a.txt", "x");
  chat.failures = 2;
  expect(await run("work_files", ann, { path: "/workspace/out/a.txt" })).toBe("out/a.txt was sent to the chat.");
  chat.failures = 3;
  expect(await run("work_files", ann, { path: "out/a.txt" })).toContain("work_files failed.");
  expect(chat.files).toHaveLength(1);
});

test("work_files lists, and refuses what is not there", async () => {
  const { double, boot } = await plugin();
  const { run } = boot();
  await run("work_spawn", ann, { task: "one" });
  expect(await run("work_files", ann)).toBe("work-1 has no files.");
  double.files.set("work-1/out/a.txt", "x".repeat(3000));
  double.files.set("work-1/node_modules/b.js", "x");
  double.files.set("work-1/empty", "");
  expect(await run("work_files", ann)).toBe("out/a.txt (3 KB)\nempty (0 B)");
  expect(await run("work_files", ann, { path: "out/b.txt" })).toContain("no file out/b.txt");
  expect(await run("work_files", ann, { path: "empty" })).toContain("is empty");
  expect(await run("work_files", { ...ann, session: "stranger" }, { path: "out/a.txt" })).toContain("no work instance");
});

test("send_file brings a file of the chat's own sandbox, and of no other", async () => {
  const { double, chat, boot } = await plugin();
  const { run, sandboxes } = boot();
  expect(await run("send_file", ann, { path: "a.txt" })).toContain("You have made no file yet");
  const handle = sandboxes.mint(`${ann.session}:workspace:0a1b`);
  sandboxes.belongsTo(`${ann.session}:workspace:0a1b`, handle);
  await sandboxes.ready(handle);
  double.files.set(`${handle}/plot.png`, "PNG");
  expect(await run("send_file", ann, { path: "/workspace/plot.png", caption: "as you asked" })).toBe(
    "plot.png was sent to the chat.",
  );
  expect(chat.files).toEqual([{ name: "plot.png", picture: true, text: "PNG", caption: "as you asked" }]);
  expect(await run("send_file", ann, { path: "other.png" })).toContain(`${handle} has no file other.png`);
  expect(await run("send_file", ann)).toContain("send_file failed.");
  expect(await run("send_file", { ...ann, session: "stranger" }, { path: "plot.png" })).toContain("no file yet");
});
