import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { freePort } from "@aegis/sdk/test/free-port";
import { expect, onTestFinished, test } from "vitest";
import { shellRunner } from "../../guest/plugin/shell-runner.ts";
import { parseWorkLine } from "../../guest/work-line.ts";

/** The command of an instance, with its workspace at another place, under busybox: the least that an image has. */
function workplace(command: string, port: number | null, bringsFiles = false) {
  const folder = mkdtempSync(join(tmpdir(), "shell-runner-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [, ...args] = shellRunner(command, port, bringsFiles).map((part) => part.replaceAll("/workspace", folder));
  return { folder, args: ["sh", ...args] };
}

/** statically linked, from the Debian package busybox-static */
const BUSYBOX = "/bin/busybox";
const run = promisify(execFile);

/** A group of its own that ends with the test: what was left of one would hold the descriptors of the whole run. */
function start(args: string[]) {
  const child = spawn(BUSYBOX, args, { stdio: ["ignore", "pipe", "ignore"], detached: true });
  onTestFinished(() => {
    try {
      process.kill(-(child.pid ?? 0), "SIGKILL");
    } catch {
      // nothing of it is left
    }
  });
  return child;
}

test("it waits until the files for it are there", async () => {
  const { folder, args } = workplace("cat in/a.txt", null, true);
  const child = start(args);
  const output = createInterface(child.stdout)[Symbol.asyncIterator]();
  await expect.poll(() => existsSync(join(folder, ".claw"))).toBe(true);
  mkdirSync(join(folder, "in"));
  writeFileSync(join(folder, "in/a.txt"), "brought\n");
  expect(child.exitCode).toBeNull();
  writeFileSync(join(folder, ".claw/brought"), "");
  expect((await output.next()).value).toBe("brought");
});

test("a command runs once, in the workspace, with a place for its results", async () => {
  const { folder, args } = workplace('echo "$0 $#"; echo 1 >> out/runs', null);
  await run(BUSYBOX, args);
  expect(readFileSync(join(folder, "out/runs"), "utf8")).toBe("1\n");
  const again = start(args);
  for await (const line of createInterface(again.stdout)) {
    expect(line).toContain("done already");
    break;
  }
  again.kill("SIGTERM");
  expect(await once(again, "exit")).toEqual([143, null]);
  expect(readFileSync(join(folder, "out/runs"), "utf8")).toBe("1\n");
});

test("a command that fails says so with its exit code, and is done again", async () => {
  const { folder, args } = workplace("echo 1 >> out/runs; exit 3", null);
  for (let n = 0; n < 2; n++) await expect(run(BUSYBOX, args)).rejects.toMatchObject({ code: 3 });
  expect(readFileSync(join(folder, "out/runs"), "utf8")).toBe("1\n1\n");
});

test("a stop ends the command", async () => {
  const { folder, args } = workplace("trap 'echo ended > out/ended; exit 0' TERM; echo ready; sleep 1000 & wait", null);
  const running = start(args);
  const lines = createInterface(running.stdout);
  await once(lines, "line");
  running.kill("SIGTERM");
  expect(await once(running, "exit")).toEqual([143, null]);
  expect(existsSync(join(folder, "out/ended"))).toBe(true);
});

test("a server is done when its port listens", async () => {
  const port = await freePort();
  const { args } = workplace(`echo starting; sleep 1; exec busybox httpd -f -p 127.0.0.1:${port}`, port);
  const server = start(args);
  const said: (string | null)[] = [];
  for await (const line of createInterface(server.stdout)) {
    said.push(parseWorkLine(line)?.text ?? line);
    if (said.length === 2) break;
  }
  expect(said).toEqual(["starting", `It listens on port ${port}.`]);
  server.kill("SIGTERM");
  expect(await once(server, "exit")).toEqual([143, null]);
});
