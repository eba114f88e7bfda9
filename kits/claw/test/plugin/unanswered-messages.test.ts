import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Message, UnansweredMessages } from "../../guest/plugin/unanswered-messages.ts";

const ANN = "agent:main:telegram:direct:1";
const BEN = "agent:main:telegram:direct:2";

let folder: string;
let running: Set<string>;
let asked: string[];
let told: string[];
let owing: boolean[];
/** by the number of the message */
let queued: Set<string> | null;
let looksInQueue: number;
let refuse: Error | null;
/** the chat cannot be told anything */
let isGone: boolean;
let messages: UnansweredMessages;

beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(join(tmpdir(), "unanswered-"));
  running = new Set();
  queued = new Set();
  looksInQueue = 0;
  [asked, told, owing, refuse, isGone] = [[], [], [], null, false];
  messages = boot();
});

afterEach(() => {
  messages.close();
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

function boot(): UnansweredMessages {
  const fresh = new UnansweredMessages({
    folder,
    queued: () => {
      looksInQueue += 1;
      if (queued === null) throw new Error("database is locked");
      return ({ message }: Message) => queued?.has(message) === true;
    },
    isRunning: (session) => running.has(session),
    ask: (session) => (refuse === null ? Promise.resolve(void asked.push(session)) : Promise.reject(refuse)),
    tell: (_session, text) => (isGone ? Promise.reject(new Error("blocked")) : Promise.resolve(void told.push(text))),
    onOwing: (owes) => void owing.push(owes),
    warn: () => undefined,
  });
  fresh.start();
  return fresh;
}

/** The process is killed, and there is another one. */
function reboot(): void {
  messages.close();
  messages = boot();
}

function say(number: string, session = ANN): void {
  messages.received(session, number, `q${number}`);
}

/** A message of a chat, up to where its turn has it. */
function begin(number: string, session = ANN): void {
  say(number, session);
  messages.begun(session, number, `q${number}`);
}

function run(phase: "start" | "end" | "error", session = ANN, data: object = {}): void {
  messages.seen({ runId: `run of ${session}`, sessionKey: session, stream: "lifecycle", data: { phase, ...data } });
}

const note = (session = ANN): string | null => messages.noteFor(session, `run of ${session}`);
const handOver = (session = ANN): void => messages.handedOver((one) => one === session);
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);
const kept = (): number => readdirSync(folder).length;

describe("a message whose turn ends", () => {
  it("is remembered until the answer is handed over", () => {
    begin("1");
    expect(kept()).toBe(1);
    run("start");
    handOver();
    run("end", ANN, { terminalReply: { disposition: "visible", text: "a1" } });
    handOver(BEN);
    expect(kept()).toBe(1);
    handOver();
    expect(kept()).toBe(0);
  });

  it.each([{ terminalReply: { disposition: "silent" } }, { terminalDelivery: { status: "sent" } }])(
    "is over where OpenClaw says that nothing is to come: %j",
    (data) => {
      begin("1");
      run("end", ANN, data);
      expect(kept()).toBe(0);
    },
  );

  it("is over a little later where nothing is handed over, and where the turn failed", async () => {
    begin("1");
    run("end");
    begin("2", BEN);
    run("error", BEN);
    await pass(6);
    expect(kept()).toBe(0);
  });

  it("is not over when OpenClaw breaks it off to start anew", async () => {
    begin("1");
    run("end", ANN, { aborted: true, stopReason: "restart" });
    await pass(6);
    reboot();
    expect(note()).toMatch(/- q1$/);
  });
});

describe("a message that waits for a turn", () => {
  it("is not over with the turn before it", async () => {
    begin("1");
    say("2");
    run("end");
    await pass(6);
    reboot();
    expect(note()).toMatch(/\n- q2$/);
    expect(note(BEN)).toBeNull();
  });

  it("is over with a turn that has it together with others", () => {
    say("1");
    say("2");
    say("3");
    messages.begun(ANN, null, "[Queued messages]\nq1\nq3");
    run("end", ANN, { terminalDelivery: {} });
    expect(kept()).toBe(1);
  });

  it("is forgotten when none comes and the chat is quiet: it was a command, or not for the bot", async () => {
    say("1");
    run("start");
    await pass(61);
    expect(kept()).toBe(1);
    run("end");
    await pass(61);
    expect(kept()).toBe(0);
  });
});

describe("a message that was cut off", () => {
  beforeEach(() => {
    begin("1");
    say("2");
    reboot();
  });

  it("is told to the next turn of its chat, in order, and is over with it", async () => {
    begin("3", BEN);
    expect(note(BEN)).toBeNull();
    run("start");
    expect(note()).toMatch(/\n- q1\n- q2$/);
    begin("4");
    run("end");
    handOver();
    expect(kept()).toBe(1);
    expect(owing).toEqual([true, false]);
    await pass(60);
    expect(asked).toEqual([]);
  });

  it("is told again to a turn that builds its prompt anew, and to the one after a turn that came to nothing", () => {
    for (let n = 0; n < 9; n++) expect(messages.noteFor(ANN, "another run")).toMatch(/\n- q1\n- q2$/);
    expect(note()).toMatch(/\n- q1\n- q2$/);
    messages.seen({ runId: "another run", sessionKey: ANN, stream: "lifecycle", data: { phase: "end" } });
    reboot();
    expect(note()).toMatch(/\n- q1\n- q2$/);
    run("end", ANN, { terminalDelivery: {} });
    expect(kept()).toBe(0);
  });

  it("has a turn of its own when its chat is quiet, and keeps the bot awake until it has ended", async () => {
    running.add(ANN);
    await pass(60);
    expect(asked).toEqual([]);
    running.clear();
    await pass(12);
    expect(asked).toEqual([ANN]);
    run("start");
    expect(note()).not.toBeNull();
    await pass(60);
    expect(asked).toHaveLength(1);
    expect(owing).toEqual([true]);
    run("end", ANN, { terminalDelivery: {} });
    expect(kept()).toBe(0);
    expect(owing).toEqual([true, false]);
  });

  it("is left to the message that comes", async () => {
    for (let n = 10; n < 20; n++) {
      await pass(8);
      say(String(n));
    }
    expect(asked).toEqual([]);
  });

  it("is not over with the end of a turn that was not told", () => {
    run("end", ANN, { terminalDelivery: {} });
    expect(kept()).toBe(2);
    messages.noteFor(ANN, "another run");
    run("end", ANN, { terminalDelivery: {} });
    expect(kept()).toBe(2);
  });

  it.each([
    ["waits for a turn", () => say("3")],
    ["has one that takes its time to begin", () => begin("3")],
  ])("is left to a message that %s", async (_what, come) => {
    await pass(9);
    come();
    await pass(55);
    expect(asked).toEqual([]);
    run("start");
    expect(note()).toMatch(/\n- q1\n- q2$/);
    await pass(400);
    expect(asked).toEqual([]);
  });

  it("has no second turn while the first one takes its time to begin", async () => {
    await pass(12);
    expect(asked).toEqual([ANN]);
    await pass(280);
    expect(asked).toHaveLength(1);
    run("start");
    expect(note()).not.toBeNull();
    run("end", ANN, { terminalDelivery: {} });
    await pass(60);
    expect(asked).toHaveLength(1);
  });

  it("is no turn of a chat that OpenClaw says to be busy for ever", async () => {
    running.add(ANN);
    await pass(320);
    expect(asked).toHaveLength(1);
  });

  it("is asked once more when the turn for it fails or never begins, and the user is told in the end", async () => {
    for (let n = 1; n <= 3; n++) {
      await pass(n === 3 ? 320 : 12);
      expect(asked).toHaveLength(n);
      expect(note()).not.toBeNull();
      if (n === 2) continue;
      run("start");
      run("error");
    }
    await pass(12);
    expect(asked).toHaveLength(3);
    expect(told).toEqual([
      expect.stringMatching(/“q1” Please ask again/),
      expect.stringMatching(/“q2” Please ask again/),
    ]);
    expect(kept()).toBe(0);
    expect(owing).toEqual([true, false]);
  });

  it("counts the tries over all processes: what ends the bot again and again is given up", async () => {
    for (let n = 1; n <= 3; n++) {
      expect(note()).not.toBeNull();
      reboot();
    }
    await pass(12);
    expect(asked).toEqual([]);
    expect(told).toHaveLength(2);
  });

  it("is tried on when no turn can be begun, without that being a try", async () => {
    refuse = new Error("the gateway is starting");
    await pass(60);
    expect(told).toEqual([]);
    refuse = null;
    await pass(12);
    expect(asked).toHaveLength(1);
  });

  it("is given up when no turn begins for minutes, and let go when not even that can be told", async () => {
    refuse = new Error("there is no such agent");
    await pass(400);
    expect([told.length, kept()]).toEqual([2, 0]);
    expect(owing).toEqual([true, false]);
    begin("7");
    reboot();
    isGone = true;
    await pass(1200);
    expect([told.length, kept()]).toEqual([2, 0]);
    expect(owing).toEqual([true, false, true, false]);
  });
});

describe("what OpenClaw still has in its queue", () => {
  beforeEach(() => {
    begin("1");
    say("2");
    queued?.add("2");
    reboot();
  });

  it("comes from there again, and is not asked again, nor is what is told to its turn", async () => {
    await pass(60);
    expect(asked).toEqual([]);
    expect(note()).toMatch(/\n- q1$/);
    begin("2");
    run("end");
    handOver();
    await pass(60);
    expect([asked, kept()]).toEqual([[], 0]);
  });

  it("does not come from there again when its turn had begun", () => {
    queued?.add("1");
    reboot();
    expect(note()).toMatch(/\n- q1$/);
  });

  it("may come together with more", async () => {
    messages.received(ANN, "5", "q2\nq5");
    messages.begun(ANN, "5", "q2\nq5");
    expect(note()).toMatch(/\n- q1$/);
    run("end", ANN, { terminalDelivery: {} });
    expect(kept()).toBe(0);
  });

  it("is asked again when it does not come from there after all", async () => {
    await pass(60);
    queued?.clear();
    await pass(12);
    expect(note()).toMatch(/\n- q1\n- q2$/);
  });

  it("is asked again when it stays there, and when it cannot be seen any more whether it does", async () => {
    running.add(ANN);
    queued = null;
    await pass(590);
    expect(note()).toMatch(/\n- q1$/);
    await pass(12);
    expect(note()).toMatch(/\n- q1\n- q2$/);
  });

  it("keeps the bot awake until it has come, and may come late", async () => {
    run("start");
    note();
    run("end", ANN, { terminalDelivery: {} });
    expect(owing).toEqual([true]);
    queued?.clear();
    await pass(5);
    begin("2");
    expect(owing).toEqual([true, false]);
    expect(note()).toBeNull();
  });

  it("is looked up once for all of it: OpenClaw stands still meanwhile", async () => {
    for (const number of ["7", "8", "9"]) {
      say(number);
      queued?.add(number);
    }
    reboot();
    looksInQueue = 0;
    await pass(3);
    expect(looksInQueue).toBe(3);
  });

  it("leaves nothing to do when it is everything", async () => {
    run("start");
    note();
    run("end", ANN, { terminalDelivery: {} });
    reboot();
    await pass(60);
    expect([asked, owing, note()]).toEqual([[], [true, true], null]);
  });

  it("hides the rest when it cannot be read: rather no answer than two", async () => {
    messages.close();
    queued = null;
    reboot();
    expect(note()).toBeNull();
    expect(kept()).toBe(2);
  });
});
