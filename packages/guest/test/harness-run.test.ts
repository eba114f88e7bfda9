import { readFileSync } from "node:fs";
import { IDLE_CPU_MS } from "@aegis/protocol/control";
import { freePort } from "@aegis/sdk/test/free-port";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type TestControl, TestHarness } from "./harness-client.ts";

let harness: TestHarness;
let guest_api_port: number;

beforeEach(async () => {
  harness = await TestHarness.start();
  guest_api_port = await freePort();
});
afterEach(() => harness.stop());

test("a fresh harness is idle, runs the workload, tells its lines and its exit", async () => {
  const control = await harness.control();
  expect(control.reply).toEqual({ ok: true, harness: { state: "idle" } });
  const { result } = await control.run(["sh", "-c", 'echo out; echo err >&2; echo "$X $AEGIS_GUEST_API"; exit 3'], {
    env: { X: "given" },
    guest_api_port,
  });
  expect(result).toEqual({ pid: expect.any(Number) });
  expect((await control.exited()).params).toEqual({ code: 3, signal: null });
  expect(control.lines()).toEqual(["out", `given http://127.0.0.1:${guest_api_port}`]);
  expect(control.lines("stderr")).toEqual(["err"]);
  expect(control.messages.at(-1)?.method).toBe("processExited");
});

test("stdout is a pipe that can be opened again, fd 3 and the token are not handed on", async () => {
  const control = await harness.control();
  await control.run(["sh", "-c", "echo again >/dev/stdout; ls /proc/self/fd | wc -w; env"], { guest_api_port });
  await control.exited();
  expect(control.lines().slice(0, 2)).toEqual(["again", "4"]);
  expect(control.lines().join("\n")).not.toContain("token-1");
});

test.each([
  [["no-such-command"], null, "command_not_found"],
  [["/no/such/file"], null, "command_not_found"],
  [["/etc"], null, "command_not_executable"],
  [["true"], "/no/such/folder", "invalid_cwd"],
  [["true"], "relative", "invalid_cwd"],
])("run %j in %s is refused with %s, and the next run works", async (command, cwd, code) => {
  const control = await harness.control();
  const { error } = await control.run(command, { cwd, guest_api_port });
  expect(error?.data?.code).toBe(code);
  expect(error?.message).toMatch(/\.$/);
  const again = await control.run(["true"], { guest_api_port });
  expect(again.error).toBeUndefined();
  await control.exited();
});

test("a second run, a signal to nobody, unknown methods and bad parameters are refused", async () => {
  const control = await harness.control();
  expect((await control.call("signal", { signal: "SIGTERM" })).error?.message).toContain("No workload");
  expect((await control.call("run", { command: [] })).error?.code).toBe(-32602);
  expect((await control.call("fly", {})).error?.code).toBe(-32601);
  await control.run(["sleep", "60"], { guest_api_port });
  expect((await control.run(["true"], { guest_api_port })).error?.message).toContain("already");
  expect((await control.call("signal", { signal: "SIGNONE" })).error?.code).toBe(-32602);
  expect((await control.call("signal", { signal: "TERM" })).result).toEqual({});
  expect((await control.exited()).params).toEqual({ code: 143, signal: "SIGTERM" });
});

test("a signal reaches the whole group", async () => {
  const control = await harness.control();
  await control.run(["sh", "-c", "sleep 61 & echo $!; wait"], { guest_api_port });
  const child = await control.until((message) => message.method === "log");
  await control.call("signal", { signal: "SIGKILL" });
  await control.exited();
  // it was sent its signal with its parent, and may come to it later
  await expect.poll(() => isAlive(Number(child.params?.["line"]))).toBe(false);
});

test("the kernel is told to end the workload before the harness", async () => {
  const control = await harness.control();
  const { result } = await control.run(["sleep", "60"], { guest_api_port });
  const pid = (result as { pid: number }).pid;
  expect(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8").trim()).toBe("500");
});

test("shutdown asks, then forces, answers with the exit and ends the harness", async () => {
  const control = await harness.control();
  await control.run(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], { guest_api_port });
  await control.until((message) => message.method === "log");
  const { result } = await control.call("shutdown", { grace_ms: 100 });
  expect(result).toEqual({ exit: { code: 137, signal: "SIGKILL" } });
  await control.closed;
});

test("shutdown of an idle harness has no exit", async () => {
  const control = await harness.control();
  expect((await control.call("shutdown", { grace_ms: 0 })).result).toEqual({ exit: null });
});

test("what happened while no host was there is told to the next one", async () => {
  const first = await harness.control();
  await first.run(["sh", "-c", "echo before; read x <&0; sleep 0.2; echo after; exit 7"], { guest_api_port });
  await first.until((message) => message.method === "log");
  first.socket.destroy();
  let second = await harness.control();
  await second.exited();
  expect(second.lines().at(-1)).toBe("after");
  second = await harness.control();
  expect(second.reply).toEqual({ ok: true, harness: { state: "exited", exit: { code: 7, signal: null } } });
});

test("a new control stream replaces the old one", async () => {
  const first = await harness.control();
  const second = await harness.control();
  await first.closed;
  await second.run(["echo", "hi"], { guest_api_port });
  await second.exited();
  expect(second.lines()).toEqual(["hi"]);
});

test("beyond the buffer the oldest lines are dropped and counted", async () => {
  const first = await harness.control();
  const { result } = await first.run(["sh", "-c", "sleep 0.2; seq 1 100000; exit 0"], { guest_api_port });
  first.socket.destroy();
  // then all but what a pipe holds was read
  await expect.poll(() => isAlive((result as { pid: number }).pid)).toBe(false);
  const second = await harness.control();
  await second.exited();
  const dropped = droppedLines(second);
  const kept = second.lines();
  expect(dropped).toBeGreaterThan(0);
  expect(dropped + kept.length).toBe(100000);
  expect(kept.at(-1)).toBe("100000");
});

test("a host that reads slowly loses nothing but what it is told of", async () => {
  const control = await harness.control();
  control.socket.pause();
  const running = control.run(["seq", "1", "300000"], { guest_api_port });
  const probe = await harness.exec(["sleep", "0.5"]);
  await probe.exit();
  control.socket.resume();
  await running;
  await control.exited();
  // on a machine so busy that the half second became five, the harness has given the host up for stalled
  expect(control.lines().length + droppedLines(control)).toBe(300000);
});

test("long lines are cut and say so, bytes that are no UTF-8 do no harm", async () => {
  const control = await harness.control();
  await control.run(["sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\nend'"], {
    guest_api_port,
  });
  await control.exited();
  const [long, odd, end] = control.lines();
  expect(long).toMatch(/^x{16384} \[cut: 3616 more bytes in this line\]$/);
  expect([odd, end]).toEqual(["a\ufffdb", "end"]);
});

test("a left-over child that holds the output open does not hide the exit", async () => {
  const control = await harness.control();
  await control.run(["sh", "-c", "sleep 62 & echo $!; exit 4"], { guest_api_port });
  expect((await control.exited()).params).toEqual({ code: 4, signal: null });
  process.kill(Number(control.lines()[0]), "SIGKILL");
});

test("work is told as activity", async () => {
  const control = await harness.control();
  await control.run(["sh", "-c", "while :; do :; done"], { guest_api_port });
  const { params } = await control.until(
    (message) => message.method === "activity" && Number(message.params?.["cpu_ms"]) >= IDLE_CPU_MS,
  );
  expect(params).toEqual({ tcp: expect.any(Number), cpu_ms: expect.any(Number), net_bytes: expect.any(Number) });
});

const droppedLines = ({ messages }: TestControl): number =>
  messages.reduce((sum, { method, params }) => sum + (method === "log.dropped" ? Number(params?.["lines"]) : 0), 0);

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
