import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { InstanceView } from "../../../packages/protocol/src/instance.ts";
import { Aegis } from "../aegis-fixture.ts";
import { guestFolder, isMicrovm, vmFolder } from "../driver-host.ts";
import { IMAGES, writeImage } from "../fixture-images.ts";

const CLI = fileURLToPath(new URL("../../../packages/cli/bin/aegis.mjs", import.meta.url));

describe("npx aegis", () => {
  let aegis: Aegis;
  let env: Record<string, string>;
  beforeAll(() => {
    guestFolder();
    if (isMicrovm) vmFolder();
    aegis = new Aegis(mkdtempSync("/tmp/aegis-e2e-"), {});
    env = { ...aegis.env, TERM: "xterm", NO_COLOR: "1" };
  });
  afterAll(() => aegis.stop());
  afterEach(async () => {
    for (const { id } of await aegis.client.instances.list().catch(() => [])) await aegis.client.instances.delete(id);
  });

  const start = (args: string[]): ChildProcess => spawn(process.execPath, [CLI, ...args], { env, cwd: aegis.home });

  async function run(args: string[], stdin = ""): Promise<{ code: number | null; out: string; err: string }> {
    const child = start(args);
    child.stdin?.end(stdin);
    const closed = once(child, "close") as Promise<[number | null]>;
    const [out, err, [code]] = await Promise.all([textOf(child.stdout), textOf(child.stderr), closed]);
    return { code, out: out.trim(), err: err.trim() };
  }

  it("says how to start the daemon where there is none", async () => {
    for (const args of [["status"], ["instance", "list"], ["run", "--", "true"], ["logs", "x"]]) {
      const { code, err } = await run(args);
      expect(code).toBe(1);
      expect(err).toContain("aegis up");
    }
    expect(JSON.parse((await run(["status", "--json"])).out)).toMatchObject({ code: "unavailable" });
    expect(await run(["down"])).toMatchObject({ code: 0, out: expect.stringContaining("not running") });
  });

  it("up starts it, once", async () => {
    const first = await run(["up"]);
    expect(first).toMatchObject({ code: 0, out: expect.stringContaining("is running") });
    expect((await run(["up"])).out).toContain("already running");
    expect((await run(["status"])).out).toContain("running");
    expect(JSON.parse((await run(["status", "--json"])).out)).toMatchObject({
      status: "running",
      backend: isMicrovm ? "microvm" : "container",
      home: aegis.home,
    });
    aegis.remember();
  });

  it("takes an image from a layout and lists it", async () => {
    const layout = join(aegis.home, "layout");
    await writeImage("busybox", layout);
    expect((await run(["image", "import", layout, IMAGES.busybox])).code).toBe(0);
    rmSync(layout, { recursive: true });
    expect((await run(["image", "list"])).out).toContain("test/busybox");
  });

  it("run shows the output, forwards the exit code, and keeps stdout clean", async () => {
    expect(await run(["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"])).toMatchObject({
      code: 7,
      out: "out",
      err: expect.stringContaining("err"),
    });
    expect((await run(["run", "--rm", "--name", "gone", "--", "true"])).code).toBe(0);
    expect((await aegis.client.instances.list()).map(({ handle }) => handle)).not.toContain("gone");
    const missing = await run(["run", "--", "no-such-program"]);
    expect(missing.code).toBe(127);
    expect((await run(["run", "--", "/etc/passwd"])).code).toBe(126);
    expect(missing.err).toContain("no-such-program");
  });

  it("run takes stdin with -i", async () => {
    expect(await run(["run", "-i", "--rm", "--", "wc", "-c"], "12345")).toMatchObject({ code: 0, out: "5" });
  });

  it("run stops the instance on an interrupt", async () => {
    const child = start(["run", "--name", "busy", "--", "sh", "-c", "echo ready; sleep infinity"]);
    const printed = once(child.stdout ?? child, "data");
    const out = textOf(child.stdout);
    // by what it prints, it follows the instance, and knows what to do with an interrupt
    await printed;
    child.kill("SIGINT");
    const [code] = (await once(child, "close")) as [number | null];
    expect(code).toBe(143);
    expect(await out).toBe("ready\n");
    expect(await aegis.client.instances.get("busy")).toMatchObject({ state: "stopped" });
  });

  it("run -d prints the name; list, info, stop, start and delete know it", async () => {
    const created = await run([
      "run",
      "-d",
      "--name",
      "web",
      "--memory",
      "64",
      "--vcpus",
      "0.5",
      "--expose",
      "8080",
      "--",
      "httpd",
      "-f",
      "-p",
      "8080",
      "-h",
      "/www",
    ]);
    expect(created).toMatchObject({ code: 0, out: "web" });
    const [view] = JSON.parse((await run(["instance", "list", "--json"])).out) as InstanceView[];
    expect(view).toMatchObject({ handle: "web", state: "running", memory_mb: 64, vcpus: 0.5, expose_ports: [8080] });
    expect(await (await fetch(String(view?.endpoints[0]?.url))).text()).toBe("hello from inside\n");
    expect((await run(["instance", "list"])).out).toMatch(/web\s+running/);
    expect((await run(["instance", "info", "web"])).out).toContain(String(view?.id));
    for (const [verb, state] of [
      ["pause", "paused"],
      ["resume", "running"],
      ["stop", "stopped"],
      ["start", "running"],
      ["restart", "running"],
      ["disable", "stopped"],
    ] as const) {
      expect((await run(["instance", verb, "web"])).code).toBe(0);
      expect(await aegis.client.instances.get("web")).toMatchObject({ state });
    }
    expect((await run(["instance", "delete", "web"])).code).toBe(0);
    expect((await run(["instance", "info", "web"])).code).toBe(1);
  });

  it("exec forwards exit code, output and stdin", async () => {
    await aegis.boot({ handle: "box", command: ["sleep", "infinity"] });
    expect(await run(["exec", "box", "--", "sh", "-c", "echo o; echo e >&2; exit 9"])).toEqual({
      code: 9,
      out: "o",
      err: "e",
    });
    expect(await run(["exec", "-i", "box", "--", "cat"], "piped\n")).toMatchObject({ code: 0, out: "piped" });
    expect((await run(["exec", "box", "--", "no-such"])).err).toContain("no-such");
    expect((await run(["exec", "nobody", "--", "true"])).err).toContain("nobody");
  });

  it("exec -it gives a real terminal", async () => {
    await aegis.boot({ handle: "box", command: ["sleep", "infinity"] });
    const words = [process.execPath, CLI, "exec", "-it", "box", "--", "sh"].join(" ");
    const child = spawn("script", ["-qec", `stty rows 33 cols 101; ${words}`, "/dev/null"], { env });
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    const until = async (pattern: RegExp) => {
      while (!pattern.test(seen)) await once(child.stdout, "data");
    };
    await until(/# /);
    child.stdin.write("stty size; tty\n");
    await until(/33 101\s+\/dev\/pts\/\d/);
    child.stdin.write("echo sleeping''; sleep 300\n");
    await until(/sleeping\r+\n/);
    seen = "";
    child.stdin.write("\u0003");
    await until(/# /);
    child.stdin.write("exit 6\n");
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(6);
  });

  it("logs shows what was printed, and follows", async () => {
    await aegis.boot({
      handle: "talk",
      command: ["sh", "-c", "echo $$ > /root/pid; echo first; trap 'echo second' USR1; while :; do sleep 0.05; done"],
    });
    await aegis.untilLogged("talk", "first");
    expect((await run(["logs", "talk"])).out).toContain("first");
    const child = start(["logs", "-f", "talk"]);
    const closed = once(child, "close");
    const seen = textOf(child.stdout);
    await once(child.stdout ?? child, "data");
    await aegis.sh("talk", "kill -USR1 $(cat /root/pid)");
    await aegis.untilLogged("talk", "second");
    await aegis.client.instances.delete("talk");
    await closed;
    expect(await seen).toContain("second");
  });

  it("secret set reads stdin, list shows names, values never come out", async () => {
    expect((await run(["secret", "set", "API_KEY"], "top-secret\n")).code).toBe(0);
    expect((await run(["secret", "list"])).out).toBe("API_KEY");
    expect((await run(["secret", "list", "--json"])).out).not.toContain("top-secret");
    expect(await run(["run", "--rm", "--secret", "API_KEY", "--", "sh", "-c", "echo $API_KEY"])).toMatchObject({
      out: "top-secret",
    });
    expect((await run(["secret", "delete", "API_KEY"])).code).toBe(0);
    expect((await run(["secret", "list"])).out).not.toContain("API_KEY");
    expect((await run(["secret", "set", "EMPTY"], "")).code).not.toBe(0);
  });

  it("doctor says what is here", async () => {
    const { code, out } = await run(["doctor"]);
    expect(code).toBe(0);
    expect(out).toMatch(/aegisd\s+ok/);
  });

  it("explains itself, and wrong use", async () => {
    const help = await run(["--help"]);
    expect(help.code).toBe(0);
    expect(help.out.split("\n").length).toBeLessThanOrEqual(40);
    expect(await run(["instanse"])).toMatchObject({ code: 2, err: expect.stringContaining("instance") });
    expect((await run(["run", "--memory", "lots", "--", "true"])).code).toBe(2);
  });

  it("runs through the file as a command too", async () => {
    const child = spawn(CLI, ["status"], { env });
    expect(await textOf(child.stdout)).toContain("running");
  });

  it("down ends instances and daemon", async () => {
    const { id } = await aegis.boot({ command: ["sleep", "infinity"] });
    expect(await run(["down"])).toMatchObject({ code: 0, out: expect.stringContaining("has stopped") });
    expect((await run(["status"])).code).toBe(1);
    await aegis.start();
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "stopped" });
  });
});

const textOf = async (stream: ChildProcess["stdout"]): Promise<string> => (stream === null ? "" : text(stream));
