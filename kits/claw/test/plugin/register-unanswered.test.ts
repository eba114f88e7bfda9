import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it, onTestFinished } from "vitest";
import { openclawQueue } from "../../guest/plugin/openclaw-queue.ts";
import { registerUnanswered } from "../../guest/plugin/register-unanswered.ts";
import { chatOfSession, isSessionOf } from "../../guest/plugin/session-chat.ts";

type Listener = (event: object, context: { sessionKey?: string; runId?: string }) => unknown;
const sessionKey = "agent:main:telegram:direct:42";
const context = { sessionKey, runId: "r1" };

function registered() {
  const calls: unknown[][] = [];
  const listeners = new Map<string, Listener>();
  const unanswered = {
    received: (...call: unknown[]) => void calls.push(["received", ...call]),
    begun: (...call: unknown[]) => void calls.push(["begun", ...call]),
    noteFor: (session: string, run: string) => (session === sessionKey && run === "r1" ? "the note" : null),
  };
  const api = { on: (hook: string, listener: Listener) => listeners.set(hook, listener) };
  // what is not called is not there
  registerUnanswered(api as never, () => ({ unanswered }) as never);
  return {
    calls,
    emit: (hook: string, event: object, rest = {}) => listeners.get(hook)?.(event, { ...context, ...rest }),
  };
}

describe("what somebody says", () => {
  it("waits for a turn, unless it is a command", () => {
    const { calls, emit } = registered();
    emit("message_received", { content: "q1", messageId: "7" });
    emit("message_received", { content: "/status", messageId: "8" });
    emit("message_received", { messageId: "9" });
    emit("message_received", { content: "nobody's" });
    expect(calls).toEqual([
      ["received", sessionKey, "7", "q1"],
      ["received", sessionKey, "9", ""],
    ]);
  });

  it("begins a turn when OpenClaw writes it down, alone, as parts or with others", () => {
    const { calls, emit } = registered();
    const write = (message: object) => emit("before_message_write", { message: { role: "user", ...message } });
    const transport = { channel: "telegram", messageId: "7" };
    write({ content: "q1", idempotencyKey: "channel-user:v1:abc", __openclaw: { transport } });
    const parts = [{ type: "text", text: "q1" }, { type: "image" }, { type: "text", text: "q2" }];
    write({ content: parts, idempotencyKey: "followup-collect:s:def" });
    expect(calls).toEqual([
      ["begun", sessionKey, "7", "q1"],
      ["begun", sessionKey, null, "q1\nq2"],
    ]);
  });

  it("is neither an answer, nor what OpenClaw or the kit says to the agent", () => {
    const { calls, emit } = registered();
    const write = (message: object) => emit("before_message_write", { message });
    write({ role: "assistant", content: "a1", idempotencyKey: "channel-user:v1:abc" });
    write({ role: "user", content: "[System] go on", idempotencyKey: "83252e06:user" });
    write({ role: "user", content: "an event" });
    expect(calls).toEqual([]);
  });
});

it("a turn is told what was cut off, and otherwise left alone", () => {
  const { emit } = registered();
  expect(emit("before_prompt_build", { prompt: "q2" })).toEqual({ prependContext: "the note" });
  expect(emit("before_prompt_build", { prompt: "q2" }, { runId: "r2" })).toBeUndefined();
});

describe("OpenClaw's queue", () => {
  it("has what it has not handed to a turn: messages, edited ones and presses", () => {
    const path = database((db) => {
      const add = db.prepare("INSERT INTO channel_ingress_events VALUES (?, ?, ?)");
      const chat = { id: 42 };
      const message = { chat, message_id: 7, text: "hi" };
      add.run("telegram", "pending", JSON.stringify({ updateId: 1, update: { update_id: 1, message } }));
      add.run(
        "telegram",
        "claimed",
        JSON.stringify({ update: { update_id: 2, edited_message: { chat, message_id: 8 } } }),
      );
      add.run("telegram", "pending", JSON.stringify({ update: { update_id: 3, poll: { id: "p" }, nothing: null } }));
      add.run("telegram", "completed", "null");
      add.run("telegram", "failed", JSON.stringify({ update: { update_id: 4, message } }));
      add.run("signal", "pending", JSON.stringify({ update: { message: { chat, message_id: 9 } } }));
    });
    expect(openclawQueue(path, 0)).toEqual([
      { chat: "42", message: "7" },
      { chat: "42", message: "8" },
    ]);
  });

  it("cannot be read where there is none, or one of another shape", () => {
    expect(() => openclawQueue("/nowhere/openclaw.sqlite", 0)).toThrow();
    expect(() =>
      openclawQueue(
        database((db) => db.exec("DROP TABLE channel_ingress_events")),
        0,
      ),
    ).toThrow(/no such table/);
  });
});

function database(fill: (db: DatabaseSync) => void): string {
  const folder = mkdtempSync(join(tmpdir(), "openclaw-queue-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "openclaw.sqlite");
  const db = new DatabaseSync(path);
  db.exec("CREATE TABLE channel_ingress_events (channel_id TEXT, status TEXT, payload_json TEXT)");
  fill(db);
  db.close();
  return path;
}

describe("the chat of a session", () => {
  it("is in its key, with the topic", () => {
    expect(chatOfSession(sessionKey)).toEqual({ channel: "telegram", to: "telegram:42" });
    expect(chatOfSession("agent:main:telegram:group:-100123:topic:5")).toEqual({
      channel: "telegram",
      to: "telegram:-100123",
      threadId: "5",
    });
    expect(isSessionOf("agent:main:telegram:group:-100123", "-100123")).toBe(true);
    expect(isSessionOf(sessionKey, "4")).toBe(false);
  });

  it("is none where nobody is on Telegram", () => {
    for (const key of ["agent:main:main", "agent:main:cron:morning", "agent:main:telegram:direct:ann"])
      expect(chatOfSession(key)).toBeNull();
  });
});
