import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { FrameType } from "@aegis/protocol/exec-frame";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestHarness } from "./harness-client.ts";

let harness: TestHarness;

beforeAll(async () => {
  harness = await TestHarness.start();
});
afterAll(() => harness.stop());

test("output and errors come apart, the exit code last", async () => {
  const exec = await harness.exec(["sh", "-c", 'echo "out $X"; echo err >&2; pwd; exit 5'], {
    env: { X: "y" },
    cwd: "/usr",
  });
  expect(await exec.exit()).toEqual({ code: 5, signal: null });
  expect(exec.output().toString()).toBe("out y\n/usr\n");
  expect(exec.output(FrameType.stderr).toString()).toBe("err\n");
});

test("8 MB of binary input come back unharmed while the host reads late", async () => {
  const bytes = randomBytes(8 * 1024 * 1024);
  const exec = await harness.exec(["cat"]);
  exec.socket.pause();
  for (let at = 0; at < bytes.length; at += 65536) exec.stdin(bytes.subarray(at, at + 65536));
  exec.end();
  exec.socket.resume();
  expect(await exec.exit()).toEqual({ code: 0, signal: null });
  expect(exec.output().equals(bytes)).toBe(true);
});

test("input that nobody reads does no harm", async () => {
  const exec = await harness.exec(["sh", "-c", "exec <&-; sleep 0.2; exit 6"]);
  for (let i = 0; i < 64; i++) exec.stdin(Buffer.alloc(65536));
  exec.end();
  expect(await exec.exit()).toEqual({ code: 6, signal: null });
});

test("a signal passes input that nobody reads, and ends with 128 + n", async () => {
  const exec = await harness.exec(["sleep", "63"]);
  exec.stdin(Buffer.alloc(256 * 1024));
  exec.signal("SIGINT");
  expect(await exec.exit()).toEqual({ code: 130, signal: "SIGINT" });
});

test("a left-over child that holds the output open does not hold the exit back", async () => {
  const exec = await harness.exec(["sh", "-c", "sleep 64 & echo $!"]);
  expect(await exec.exit()).toEqual({ code: 0, signal: null });
  process.kill(Number(exec.output().toString()), "SIGKILL");
});

test("a terminal is one: size, resize, Ctrl-C, job control, Ctrl-D", async () => {
  const exec = await harness.exec(["bash", "--norc", "-i"], { tty: { cols: 91, rows: 22 } });
  exec.stdin("stty size; tty; echo $TERM\n");
  await exec.untilOutput("22 91");
  await exec.untilOutput("/dev/pts/");
  exec.resize(101, 33);
  exec.stdin("stty size\n");
  await exec.untilOutput("33 101");
  exec.stdin("sh -c 'printf sleep%s ing; exec sleep 65'\n");
  await exec.untilOutput("sleeping");
  exec.stdin("\u0003");
  exec.stdin("echo code=$?\n");
  await exec.untilOutput("code=130");
  expect(exec.output().toString()).not.toContain("no job control");
  exec.stdin("exit 9\n");
  expect(await exec.exit()).toEqual({ code: 9, signal: null });
});

test("the end of input is Ctrl-D to a terminal", async () => {
  const exec = await harness.exec(["cat"], { tty: { cols: 80, rows: 24 } });
  exec.stdin("line\n");
  exec.end();
  expect(await exec.exit()).toEqual({ code: 0, signal: null });
  expect(exec.output().toString()).toBe("line\r\nline\r\n");
});

test("a terminal loses nothing when the host reads late, and its writer is held back", async () => {
  const exec = await harness.exec(["sh", "-c", "stty -opost; seq 1 400000"], { tty: { cols: 80, rows: 24 } });
  exec.socket.pause();
  await (await harness.exec(["sleep", "0.7"])).exit();
  expect(isAlive(exec.pid)).toBe(true);
  exec.socket.resume();
  expect(await exec.exit()).toEqual({ code: 0, signal: null });
  const lines = exec.output().toString().trimEnd().split("\n");
  expect(lines).toHaveLength(400000);
  expect(lines.at(-1)).toBe("400000");
});

test.each([{ tty: null }, { tty: { cols: 80, rows: 24 } }])(
  "a host that closes early hangs up, then ends the group by force (%j)",
  async ({ tty }) => {
    const exec = await harness.exec(["bash", "-c", "trap '' HUP; echo ready; sleep 66; sleep 67"], { tty });
    await exec.untilOutput("ready");
    exec.socket.destroy();
    await untilGone(exec.pid);
  },
);

test("a host that is gone is noticed while input is held back", async () => {
  const exec = await harness.exec(["sleep", "68"]);
  for (let i = 0; i < 64; i++) exec.stdin(Buffer.alloc(65536));
  await (await harness.exec(["sleep", "0.3"])).exit();
  exec.socket.destroy();
  await untilGone(exec.pid);
});

test.each([
  [{ command: ["no-such-command"] }, "command_not_found"],
  [{ command: ["/etc/passwd"] }, "command_not_executable"],
  [{ command: ["true"], cwd: "/no/such" }, "invalid_cwd"],
  [{ command: ["true"], user: "nobody" }, "user_not_available"],
  [{ command: ["true"], user: "no-such-user" }, "user_not_available"],
])("exec %j is refused with %s", async ({ command, ...header }, code) => {
  const exec = await harness.exec(command, header);
  expect(exec.reply).toMatchObject({ ok: false, code, error: expect.stringMatching(/\.$/) });
  await exec.ended;
});

test("the user that the harness runs as anyway may be named", async () => {
  const exec = await harness.exec(["id", "-u"], { user: String(process.getuid?.()) });
  await exec.exit();
  expect(exec.output().toString().trim()).toBe(String(process.getuid?.()));
});

test("broken headers and frames end their stream and nothing else", async () => {
  const headers = ["no json\n", "{}\n", '{"kind":"exec"}\n', '{"kind":"port","port":0}\n', "[]\n", "\n"];
  for (const header of headers) {
    const { reply } = await harness.dial(header);
    expect(reply).toMatchObject({ ok: false, code: "invalid_header" });
  }
  const { reply } = await harness.dial("x".repeat(1024 * 1024 + 1));
  expect(reply).toMatchObject({ ok: false, code: "invalid_header" });
  for (const garbage of [
    Buffer.from([9, 0, 0, 0, 0]),
    Buffer.from([0, 255, 255, 255, 255]),
    Buffer.from([6, 0, 0, 0, 0]),
  ]) {
    const exec = await harness.exec(["sleep", "69"]);
    exec.socket.write(garbage);
    await exec.ended;
    await untilGone(exec.pid);
  }
  const control = await harness.control();
  control.socket.write("no json\n");
  await control.closed;
  const flooded = await harness.control();
  flooded.socket.write("y".repeat(1024 * 1024 + 1));
  await flooded.closed;
  expect((await harness.control()).reply.ok).toBe(true);
});

test("a host that hangs up in the middle of a header is forgotten", async () => {
  const socket = harness.connect();
  socket.end('{"kind":');
  await new Promise((resolve) => socket.once("close", resolve));
  expect((await harness.control()).reply.ok).toBe(true);
});

test("signals that a process inside can send do not end the harness", async () => {
  for (const name of ["SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT", "SIGPIPE"] as const) harness.process.kill(name);
  expect((await harness.control()).reply.ok).toBe(true);
});

async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
