import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import type { ExecOutput, ExecSession } from "../../../packages/sdk/src/exec-session.ts";

const FOREVER = ["sleep", "infinity"];

describe("exec and logs", () => {
  let aegis: Aegis;
  let box: string;
  beforeAll(async () => {
    aegis = await startAegis();
    box = (await aegis.boot({ command: FOREVER, env: { GIVEN: "yes" }, pause_after_idle_s: null })).id;
  });
  afterAll(() => aegis.stop());

  describe("exec by lines", () => {
    it.each([0, 1, 42, 255])("tells exit code %i", async (code) => {
      expect(await aegis.exec(box, ["sh", "-c", `exit ${code}`])).toEqual({ code, stdout: "", stderr: "" });
    });

    it("tells a signal as 128 and its number", async () => {
      expect((await aegis.exec(box, ["sh", "-c", "kill -TERM $$"])).code).toBe(143);
    });

    it("keeps stdout and stderr apart, and lines without an end", async () => {
      const ran = await aegis.exec(box, ["sh", "-c", "echo a; echo b >&2; printf 'no end'"]);
      expect(ran).toEqual({ code: 0, stdout: "a\nno end", stderr: "b" });
    });

    it("gives arguments as they are, without a shell", async () => {
      const argument = "a  b'\"$HOME*\n\\ü";
      expect((await aegis.exec(box, ["printf", "%s", argument])).stdout).toBe(argument);
    });

    it("takes stdin, environment and folder", async () => {
      expect((await aegis.exec(box, ["cat"], { stdin: "one\ntwo\n" })).stdout).toBe("one\ntwo");
      expect((await aegis.exec(box, ["cat"])).stdout).toBe("");
      const ran = await aegis.exec(box, ["sh", "-c", "echo $GIVEN $MORE $PWD"], { env: { MORE: "too" }, cwd: "/tmp" });
      expect(ran.stdout).toBe("yes too /tmp");
    });

    it("takes a megabyte of stdin and gives it back", async () => {
      const stdin = "0123456789abcde\n".repeat(60_000);
      expect((await aegis.exec(box, ["sha256sum"], { stdin })).stdout).toContain(
        createHash("sha256").update(stdin).digest("hex"),
      );
      expect((await aegis.exec(box, ["cat"], { stdin })).stdout.length).toBe(stdin.length - 1);
    });

    it.each([
      ["a command that is not there", { command: ["no-such-program"] }, "command_not_found", "no-such-program"],
      ["a folder that is not there", { command: ["true"], cwd: "/nowhere" }, "invalid_path", "/nowhere"],
      ["a user that is not there", { command: ["true"], user: "nobody-known" }, "user_not_available", "nobody-known"],
      ["another user", { command: ["true"], user: "app" }, "user_not_available", "app"],
      ["a file that is no program", { command: ["/etc/passwd"] }, "command_not_executable", "/etc/passwd"],
    ])("refuses %s", async (_what, { command, ...more }, code, words) => {
      await expect(aegis.exec(box, command, more)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(words),
      });
    });

    it("runs many at once", async () => {
      const ran = await Promise.all(Array.from({ length: 20 }, (_, n) => aegis.exec(box, ["echo", String(n)])));
      expect(ran.map(({ stdout }) => stdout)).toEqual(ran.map((_, n) => String(n)));
    });

    it("ends a command whose caller has left", async () => {
      for await (const step of aegis.client.instances.exec(box, { command: ["sh", "-c", "echo $$; sleep 300"] })) {
        if (!("line" in step)) continue;
        expect(await aegis.sh(box, `test -d /proc/${step.line} && echo there`)).toBe("there");
        break;
      }
      await expect.poll(() => aegis.sh(box, "pidof sleep | wc -w")).toBe("1");
    });

    it("waits for a boot and wakes a paused instance", async () => {
      const { id } = await aegis.client.instances.create({ command: FOREVER });
      expect((await aegis.exec(id, ["echo", "early"])).stdout).toBe("early");
      await aegis.client.instances.pause(id);
      expect((await aegis.exec(id, ["echo", "awake"])).stdout).toBe("awake");
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
      await aegis.client.instances.delete(id);
    });

    it("keeps an instance awake while it lasts", async () => {
      const { id } = await aegis.boot({ command: FOREVER, pause_after_idle_s: 0.1 });
      await aegis.reaches(id, "paused");
      expect((await aegis.exec(id, ["sh", "-c", "sleep 0.6; echo through"])).stdout).toBe("through");
      await aegis.reaches(id, "paused");
      await aegis.client.instances.delete(id);
    });

    it("says so when the instance stops in mid command", async () => {
      const { id } = await aegis.boot({ command: FOREVER });
      const running = aegis.exec(id, ["sh", "-c", "echo started; sleep 300"]);
      const stopping = aegis.untilLogged(id, "started").then(() => aegis.client.instances.stop(id));
      await expect(running).rejects.toMatchObject({ code: "guest_unreachable" });
      await stopping;
      await aegis.client.instances.delete(id);
    });
  });

  describe("exec by bytes", () => {
    it("carries binary input and output unchanged", async () => {
      const bytes = randomBytes(3_000_000);
      const session = await aegis.client.instances.execInteractive(box, { command: ["cat"] });
      const sent = session.write(bytes).then(() => session.endInput());
      const { stdout, exit } = await collect(session);
      await sent;
      expect(exit).toEqual({ code: 0, signal: null });
      expect(Buffer.compare(stdout, bytes)).toBe(0);
    });

    it("is held back by a reader that does not read", async () => {
      const command = [
        "sh",
        "-c",
        "i=0; while [ $i -lt 400 ]; do head -c 100000 /dev/zero; i=$((i+1)); echo $i > /tmp/sent; done",
      ];
      const session = await aegis.client.instances.execInteractive(box, { command });
      const output = session.output();
      await output.next();
      await settles(() => aegis.sh(box, "cat /tmp/sent"));
      expect(Number(await aegis.sh(box, "cat /tmp/sent"))).toBeLessThan(400);
      let bytes = 0;
      for await (const one of output) if (one.kind === "stdout") bytes += one.bytes.length;
      expect(bytes).toBeGreaterThan(30_000_000);
    });

    it("delivers signals", async () => {
      const command = ["sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.02; done"];
      const session = await aegis.client.instances.execInteractive(box, { command });
      const output = session.output();
      await untilText(output, "ready");
      await session.signal("SIGINT");
      const { stdout, exit } = await collect({ output: () => output });
      expect(stdout.toString()).toContain("caught");
      expect(exit).toEqual({ code: 5, signal: null });
    });

    it("gives a terminal of the right size, follows a resize, and echoes", async () => {
      const session = await aegis.client.instances.execInteractive(box, {
        command: ["sh"],
        tty: true,
        size: { cols: 91, rows: 17 },
      });
      const output = session.output();
      const type = (text: string) => session.write(Buffer.from(text));
      await type("test -t 0 && test -t 1 && stty size; tty; echo $TERM\n");
      expect(await untilText(output, "xterm")).toMatch(/17 91\s+\/dev\/pts\/\d+/);
      await session.resize({ cols: 132, rows: 43 });
      await type("stty size\n");
      await untilText(output, "43 132\r\n");
      await type("sleep 303\n");
      await expect.poll(() => aegis.sh(box, "ps | grep -c '[s]leep 303' || true")).toBe("1");
      await type("\u0003");
      await untilText(output, "# ");
      await type("exit 9\n");
      const { exit } = await collect({ output: () => output });
      expect(exit.code).toBe(9);
    });

    it("hangs up when the client goes", async () => {
      const session = await aegis.client.instances.execInteractive(box, { command: ["sleep", "301"], tty: true });
      session.close();
      await expect.poll(() => aegis.sh(box, "ps | grep -c '[s]leep 301' || true")).toBe("0");
    });

    it("says why a command cannot be started", async () => {
      const { instances } = aegis.client;
      await expect(instances.execInteractive(box, { command: ["no-such"] })).rejects.toMatchObject({
        code: "command_not_found",
      });
      await expect(instances.execInteractive("nobody", { command: ["true"] })).rejects.toMatchObject({
        code: "instance_not_found",
      });
    });
  });

  describe("logs", () => {
    it("are kept over stop and start, and know tail, since and source", async () => {
      const script = "echo boot out; echo boot err >&2; sleep infinity";
      const { id } = await aegis.boot({ command: ["sh", "-c", script] });
      await aegis.untilLogged(id, "boot err");
      await aegis.exec(id, ["echo", "from exec"]);
      await aegis.client.instances.stop(id);
      const before = await aegis.logs(id);
      await aegis.client.instances.start(id);
      await expect.poll(async () => (await aegis.logs(id)).length).toBe(before.length + 2);
      const logs = await aegis.logs(id);
      expect(logs.slice(0, before.length)).toEqual(before);
      expect(before.map(({ source, line }) => `${source} ${line}`)).toEqual(
        expect.arrayContaining(["boot boot out", "boot boot err", "exec from exec"]),
      );
      expect(before.at(-1)).toMatchObject({ source: "system" });
      const since = String(logs[before.length]?.ts);
      const { instances } = aegis.client;
      expect(await Array.fromAsync(instances.logs(id, { tail: 2 }))).toEqual(logs.slice(-2));
      expect((await Array.fromAsync(instances.logs(id, { since }))).length).toBeGreaterThanOrEqual(2);
      expect(logs.find(({ source }) => source === "exec")?.exec_id).toMatch(/^exec-/);
      await instances.delete(id);
    });

    it("are followed without losing or repeating a line, until the instance is deleted", async () => {
      const script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep infinity";
      const { id } = await aegis.client.instances.create({ command: ["sh", "-c", script] });
      const seen: string[] = [];
      for await (const { source, line } of aegis.client.instances.logs(id, { follow: true })) {
        if (source === "boot") seen.push(line);
        if (line === "line 2999") void aegis.client.instances.delete(id);
      }
      expect(seen).toEqual(Array.from({ length: 3000 }, (_, n) => `line ${n}`));
    });

    it("cut a line that is too long, and carry any bytes", async () => {
      const script = "head -c 40000 /dev/zero | tr '\\0' x; echo; printf '\\377\\376 \\033[31mred\\n'";
      const { id } = await aegis.boot({ command: ["sh", "-c", script] });
      await aegis.reaches(id, "stopped");
      const lines = (await aegis.logs(id)).filter(({ source }) => source === "boot").map(({ line }) => line);
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(17_000);
      expect(lines.join("")).toContain("\u001b[31mred");
      await aegis.client.instances.delete(id);
    });
  });

  async function collect(session: Pick<ExecSession, "output">) {
    const chunks: Uint8Array[] = [];
    for await (const one of session.output()) {
      if (one.kind === "exit") return { stdout: Buffer.concat(chunks), exit: one.exit };
      if (one.kind === "stdout") chunks.push(one.bytes);
    }
    throw new Error("the command never ended");
  }

  /** Reads on until the text has come; what was read is returned. */
  async function untilText(output: AsyncGenerator<ExecOutput>, text: string): Promise<string> {
    let seen = "";
    while (!seen.includes(text)) {
      const { value, done } = await output.next();
      if (done === true || value.kind === "exit") throw new Error(`ended without "${text}": ${seen}`);
      seen += Buffer.from(value.bytes).toString();
    }
    return seen;
  }

  /** Waits until a value no longer changes. */
  async function settles(look: () => Promise<string>): Promise<void> {
    let before = "";
    await expect
      .poll(
        async () => {
          const now = await look();
          const same = now === before;
          before = now;
          return same;
        },
        { interval: 200 },
      )
      .toBe(true);
  }
});
