import { expect, test } from "vitest";
import { demoReply } from "../../src/model/demo-reply.ts";
import { websiteTopic } from "../../src/model/website-topic.ts";
import { botTools, called, hostNote, requestOf, taskSays, telegramSays, wake, workTools } from "./requests.ts";

const bot = (text: string) => demoReply(requestOf(botTools, telegramSays(text)));

test.each([
  ["build me a website about lobsters", "work_spawn", { task: "build me a website about lobsters" }],
  ["Please make a web page about deep sea squids!", "work_spawn", { task: "build me a website about deep sea squids" }],
  ["show me the logs", "work_logs", { tail: 40 }],
  ["What is running?", "work_list", {}],
  ["list", "work_list", {}],
  ["status", "work_status", {}],
  ["stop it", "work_stop", {}],
  ["run uname -a", "exec", { command: "uname -a" }],
  ["please run: `cat list | grep stop`", "exec", { command: "cat list | grep stop" }],
])("%s calls %s", (text, tool, parameters) => {
  expect(bot(text)).toEqual({ kind: "call", tool, parameters });
});

test("says what it is when it does not understand", () => {
  expect(bot("What is the meaning of life?")).toMatchObject({
    kind: "say",
    text: expect.stringContaining("offline demo model"),
  });
});

test("a command is run where there are own tools alone, and its output is shown", () => {
  const run = [telegramSays("run id"), ...called("exec", "uid=0(root)")] as const;
  expect(demoReply(requestOf(botTools, ...run))).toMatchObject({ text: expect.stringContaining("uid=0(root)") });
  expect(demoReply(requestOf(botTools.slice(0, 5), telegramSays("run id")))).toMatchObject({ kind: "say" });
});

test("tells that the work has started once the tool has answered", () => {
  const request = requestOf(botTools, telegramSays("build me a website about lobsters"), ...called("work_spawn", "{}"));
  expect(demoReply(request)).toMatchObject({ text: expect.stringMatching(/started.*lobsters.*offline demo model/s) });
});

test("tells of a tool that failed", () => {
  const failure = '{"status":"error","error":"no memory left"}';
  const request = requestOf(
    botTools,
    telegramSays("build me a website about lobsters"),
    ...called("work_spawn", failure),
  );
  expect(demoReply(request)).toMatchObject({ text: expect.stringMatching(/did not work[\s\S]*no memory left/) });
});

test("shows the logs that the tool gave", () => {
  const request = requestOf(botTools, telegramSays("show me the logs"), ...called("work_logs", "line 1\nline 2"));
  expect(demoReply(request)).toMatchObject({ text: expect.stringContaining("```\nline 1\nline 2\n```") });
});

test("an earlier turn's tool result is not taken for this one's", () => {
  const request = requestOf(
    botTools,
    telegramSays("show me the logs"),
    ...called("work_logs", "old"),
    { role: "assistant", content: "old" },
    telegramSays("stop it"),
    hostNote("Active exec sessions:\nnone"),
  );
  expect(demoReply(request)).toMatchObject({ kind: "call", tool: "work_stop" });
});

const done =
  'System: [2026-11-23 08:50:07 UTC] Work "website-1" is done: build me a website about lobsters. Preview: http://127.0.0.1:20005/ .';

test("a wake with the news that the work is done gives the link", () => {
  const request = requestOf(
    botTools,
    telegramSays("build me a website about lobsters"),
    { role: "assistant", content: "started" },
    wake,
    hostNote(done),
  );
  expect(demoReply(request)).toMatchObject({
    text: expect.stringContaining("Your website about lobsters is ready: http://127.0.0.1:20005/\n"),
  });
});

test("the news may also stand in the message itself", () => {
  const request = requestOf(botTools, { role: "user", content: done });
  expect(demoReply(request)).toMatchObject({ text: expect.stringContaining("http://127.0.0.1:20005/") });
});

test("a wake without news stays silent, and a failure gives no link as ready", () => {
  expect(demoReply(requestOf(botTools, wake))).toEqual({ kind: "say", text: "NO_REPLY" });
  const failed = hostNote("System: [2026-11-23 08:50:07 UTC] Work website-1 failed (exit 1): http://127.0.0.1:1/");
  expect(demoReply(requestOf(botTools, taskSays("x"), wake, failed))).toMatchObject({
    text: expect.stringContaining("failed"),
  });
});

test("in a work instance it writes the files one after the other", () => {
  const task = taskSays("build me a website about sea & <stars>");
  const first = demoReply(requestOf(workTools, task));
  expect(first).toMatchObject({ kind: "call", tool: "write", parameters: { path: "index.html" } });
  expect(JSON.stringify(first)).toContain("<title>All about sea &amp; &lt;stars&gt;</title>");
  const second = demoReply(requestOf(workTools, task, ...called("write", "ok")));
  expect(second).toMatchObject({ kind: "call", tool: "write", parameters: { path: "style.css" } });
  const last = demoReply(requestOf(workTools, task, ...called("write", "ok"), ...called("write", "ok")));
  expect(last).toMatchObject({ kind: "say", text: expect.stringContaining("is ready: index.html and style.css") });
});

test("in a work instance it owns up to what it cannot do", () => {
  expect(demoReply(requestOf(workTools, taskSays("prove P = NP")))).toMatchObject({
    text: expect.stringContaining("only build websites"),
  });
});

test("what the kit has told the person already is not said again, and its own words are understood", () => {
  const lines = [
    "✅ site-1 is done after 20 s.",
    "The website about lobsters is ready: index.html.",
    "",
    "http://127.0.0.1:2/",
  ];
  const event = (...more: string[]) => hostNote([...lines, ...more].map((line) => `System: ${line}`).join("\n"));
  const told = event("The person has been told this in the chat already, link included: do not repeat it.");
  expect(demoReply(requestOf(botTools, wake, told))).toEqual({ kind: "say", text: "NO_REPLY" });
  expect(demoReply(requestOf(botTools, wake, event()))).toMatchObject({
    text: expect.stringContaining("Your website about lobsters is ready: http://127.0.0.1:2/\n"),
  });
  expect(demoReply(requestOf(botTools, telegramSays("stop it"), told))).toMatchObject({ tool: "work_stop" });
});

test("a refusal of the kit is passed on", () => {
  const refusal = "work_spawn failed. No memory is left.";
  const request = requestOf(botTools, telegramSays("build me a site about tea"), ...called("work_spawn", refusal));
  expect(demoReply(request)).toMatchObject({ text: expect.stringContaining("did not work") });
});

test.each([
  ["build me a website about lobsters", "lobsters"],
  ["could you create a small site on “tea”, please?", "tea"],
  ["make a homepage for my cat Tom.", "my cat Tom"],
  ["build me a website", "something nice"],
  ["what is a website?", null],
  ["hello", null],
])("the topic of %j is %j", (text, topic) => {
  expect(websiteTopic(text)).toBe(topic);
});
