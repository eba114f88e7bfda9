import type { Duplex } from "node:stream";
import { expect, it } from "vitest";
import { AegisError } from "@aegis/protocol/errors";
import { encodeFrame, FrameType } from "@aegis/protocol/exec-frame";
import { StreamHarness } from "../../src/control/stream-harness.ts";
import type { HarnessObserver } from "../../src/core/harness.ts";
import { daemonFixture } from "../daemon-fixture.ts";
import { corpus } from "./corpus.ts";
import { FuzzRandom, fuzzSeed } from "./fuzz-random.ts";
import { hostileMachine, hostileStream } from "./hostile-harness.ts";
import { whatIsHeld } from "./what-is-held.ts";

/** messages that the daemon has to take in, each read, parsed and looked at */
const TAKEN = 60_000;
const MESSAGES = 400;
const LAST = "that was all";
const OPENINGS = 4_000;
const MAX_GROWTH_BYTES = 48 * 1024 * 1024;
const METHODS = ["log", "log.dropped", "activity", "processExited", "stream.open", "x"] as [string, ...string[]];
const harness = new StreamHarness();
const header = { exec_id: "x", command: ["x"], env: {}, cwd: null, user: null, tty: null };

/** An answer or a notification as JSON-RPC has them, with contents that nobody means. */
const message = (random: FuzzRandom): string => {
  const kind = random.below(100);
  if (kind < 5) return JSON.stringify({ id: random.json(1), result: random.json() });
  if (kind < 10) return JSON.stringify({ id: random.below(6), result: random.json() });
  if (kind < 15) return JSON.stringify({ id: random.below(6), error: random.json() });
  if (kind < 17) return JSON.stringify({ method: random.text(), params: random.json() });
  const names = ["stream", "line", "ts", "seq", "lines", "code", "signal", "stream_id", "token", "kind", "tcp"];
  const calm: Record<string, unknown> = { stream: "stdout", line: "x", ts: "x", kind: "guest_api", signal: null };
  const params = Object.fromEntries(
    names
      .filter(() => random.chance(0.9))
      .map((name) => [name, random.chance(0.8) ? (calm[name] ?? 1) : random.json(2)]),
  );
  return JSON.stringify({ method: random.pick(METHODS), params });
};

const lastMessage = JSON.stringify({ method: "log", params: { stream: "stdout", line: LAST, ts: "" } });

/** Notes what gets through to the core, which must be what its type says, and which streams were read to their end. */
function checkingObserver(): HarnessObserver & { passed: number; readToEnd: number } {
  const observer = {
    passed: 0,
    readToEnd: 0,
    log: ({ line, ts, stream }: { line: string; ts: string; stream: string }) => {
      observer.passed += 1;
      if (line === LAST) observer.readToEnd += 1;
      expect([typeof line, Number.isNaN(Date.parse(ts)), stream === "stdout" || stream === "stderr"]).toEqual([
        "string",
        false,
        true,
      ]);
    },
    logDropped: (lines: number) => expect(lines).toBeGreaterThan(0),
    activity: ({ tcp }: { tcp: number }) => expect(tcp).toBeGreaterThanOrEqual(0),
    processExited: ({ code }: { code: number }) => expect(Number.isInteger(code) && code >= 0 && code < 256).toBe(true),
    streamOpened: ({ stream_id }: { stream_id: string }, reverse: { refuse: (error: string) => void }) => {
      expect(typeof stream_id).toBe("string");
      reverse.refuse("no");
    },
  };
  return observer;
}

async function connection(observer: HarnessObserver, send: (stream: Duplex) => void): Promise<void> {
  const machine = hostileMachine((stream) => {
    stream.write('{"ok":true}\n');
    send(stream);
  });
  const link = await harness.connect(machine, observer);
  const calls = [
    link.run({ command: ["x"], env: {}, cwd: null, token: "t", bindings: [], guest_api_port: 1 }),
    link.renewToken("t"),
    link.signal("SIGTERM"),
    link.shutdown(0),
  ];
  for (const outcome of await Promise.allSettled(calls))
    if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(AegisError);
  await link.closed;
}

it("a control stream takes whatever a harness sends", { timeout: 120_000 }, async () => {
  const random = new FuzzRandom(fuzzSeed());
  const observer = checkingObserver();
  for (const line of corpus<string>("control")) await connection(observer, (stream) => stream.end(`${line}\n`));
  let before = await whatIsHeld();
  observer.readToEnd = 0;
  for (let at = 0; at < TAKEN / MESSAGES; at++) {
    if (at === 30) before = await whatIsHeld();
    await connection(observer, (stream) => {
      for (let sent = 1; sent < MESSAGES; sent++) stream.write(`${message(random)}\n`);
      stream.write(`${lastMessage}\n`);
      // what is no message at all ends the stream
      stream.end(random.pick<Buffer | string>([random.bytes(200), "", `${JSON.stringify(random.text())}\n`, "{\n"]));
    });
  }
  // messages are taken in their order: where the last one arrived, all before it were
  expect(observer.readToEnd * MESSAGES).toBe(TAKEN);
  expect(observer.passed).toBeGreaterThan(TAKEN / 50);
  const after = await whatIsHeld();
  expect(after.heapBytes - before.heapBytes).toBeLessThan(MAX_GROWTH_BYTES);
  await expect.poll(async () => (await whatIsHeld()).resources).toBeLessThanOrEqual(before.resources);
});

it("streams take whatever a harness answers", { timeout: 120_000 }, async () => {
  const random = new FuzzRandom(fuzzSeed());
  const answers = (stream: Duplex): void => {
    const kind = random.below(6);
    if (kind === 0) return void stream.end(`${JSON.stringify(random.json())}\n`);
    if (kind === 1) return void stream.end(random.bytes(random.below(300)));
    if (kind === 2)
      return void stream.end(JSON.stringify({ ok: false, code: random.json(1), error: random.json(1) }) + "\n");
    stream.write('{"ok":true}\n');
    if (kind === 3) return void stream.end(random.bytes(random.below(3000)));
    const payload = Buffer.from(kind === 4 ? JSON.stringify(random.json()) : '{"code":0,"signal":null}');
    stream.end(encodeFrame(random.pick([FrameType.exit, FrameType.stdout, FrameType.stdin]), payload));
  };
  for (let at = 0; at < OPENINGS; at++) {
    const outcome = await (async () => {
      const session = await harness.exec(hostileMachine(answers), header);
      for await (const { type } of session.frames)
        expect([FrameType.stdout, FrameType.stderr, FrameType.exit]).toContain(type);
    })().catch((error: unknown) => error);
    if (outcome !== undefined) expect(outcome).toBeInstanceOf(AegisError);
  }
});

it.each<[string, (stream: Duplex) => void]>([
  ["reads nothing", (stream) => void stream.pause().write('{"ok":true}\n')],
  ["never answers", () => undefined],
  ["ends every stream", (stream) => void stream.end('{"ok":true}\n')],
  ["sends one endless line", (stream) => void stream.write(`{"ok":true}\n${"x".repeat(2 * 1024 * 1024)}`)],
  [
    "asks for streams without end",
    (stream) => {
      stream.write('{"ok":true}\n');
      const open = JSON.stringify({ method: "stream.open", params: { stream_id: "a", token: "b", kind: "guest_api" } });
      stream.write(`${open}\n`.repeat(5_000));
    },
  ],
  ["claims to have exited with nonsense", (stream) => void stream.write('{"ok":true,"harness":{"state":"exited"}}\n')],
])("an instance whose harness %s can be deleted, and the others notice nothing", async (_, serve) => {
  const fixture = await daemonFixture();
  const create = (handle: string) =>
    fixture.call<{ id: string }>("POST", "/v1/instances", { handle, command: ["sleep", "1000"] });
  const neighbour = (await create("neighbour")).body.id;
  const victim = (await create("victim")).body.id;
  await Promise.all([fixture.reaches(neighbour, "running"), fixture.reaches(victim, "running")]);
  const machine = fixture.driver.machine(victim);
  if (machine === null) throw new Error("no machine");
  const { harness: taken } = machine;
  Object.assign(machine, { dial: async () => hostileStream(serve) });
  // the honest control stream breaks: from now on the daemon has to do with the other one
  taken.breakStreams();
  const exec = fixture.call("POST", `/v1/instances/${neighbour}/exec`, { command: ["echo", "fine"] });
  expect((await exec).text).toContain('"line":"fine"');
  expect((await fixture.call("DELETE", `/v1/instances/${victim}`)).status).toBeLessThan(300);
  expect((await fixture.call("GET", `/v1/instances/${victim}`)).status).toBe(410);
  expect(fixture.warnings.filter((warning) => /\n\s+at /.test(warning))).toEqual([]);
});
