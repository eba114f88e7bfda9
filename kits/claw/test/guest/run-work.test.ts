import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@aegis/sdk/test/free-port";
import { expect, onTestFinished, test, vi } from "vitest";
import { runWork } from "../../guest/work/run-work.ts";
import { parseWorkLine, type WorkLine } from "../../guest/work-line.ts";
import type { WorkJob, WorkSpec } from "../../guest/work-spec.ts";

const llm = {
  api: "openai-completions",
  base_url: "http://127.0.0.1:1/v1",
  model: "m",
  context_window: 1,
  max_tokens: 1,
} as const;

/** A workspace, and an `openclaw` on PATH that is the given shell script. */
async function workplace(openclaw: string) {
  const folder = mkdtempSync(join(tmpdir(), "work-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const folders = { workspace: join(folder, "workspace"), site: join(folder, "workspace", "site") };
  mkdirSync(folders.site, { recursive: true });
  writeFileSync(join(folder, "openclaw"), `#!/bin/sh\n${openclaw}\n`);
  chmodSync(join(folder, "openclaw"), 0o755);
  vi.stubEnv("PATH", `${folder}:${process.env["PATH"]}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const port = await freePort();
  return { folders, port, marker: join(folders.workspace, ".claw", "done.json") };
}

type Workplace = Awaited<ReturnType<typeof workplace>>;

/** One boot of the work instance. */
function boot({ folders, port }: Workplace, job: WorkJob, rest: Partial<WorkSpec> = {}) {
  const stop = new AbortController();
  const lines: string[] = [];
  const held = new Set<string>();
  const ended = Promise.withResolvers<Extract<WorkLine, { claw: "done" }>>();
  const exited = runWork({
    spec: { title: "t", job, port, ...rest },
    folders,
    awake: { hold: (who) => void held.add(who), release: (who) => void held.delete(who) },
    print: (line) => {
      lines.push(line);
      const said = parseWorkLine(line);
      if (said?.claw === "done") ended.resolve(said);
    },
    signal: stop.signal,
  });
  onTestFinished(async () => {
    stop.abort();
    await exited;
  });
  return { stop, lines, held, exited, ended: ended.promise };
}

const goodAgent = `cat > task.txt; cp AGENTS.md notes.txt; echo '<h1>site</h1>' > index.html
echo '{"ok":true,"status":"ok","final":"I made it."}'`;
const task = { kind: "task", task: "build it", llm } satisfies WorkJob;

test("a task is done once; the next boot only serves", async () => {
  const place = await workplace(goodAgent);
  const first = boot(place, task);
  expect(await first.ended).toMatchObject({ ok: true, text: "I made it.", site: true });
  expect(first.held.size).toBe(0);
  expect(readFileSync(join(place.folders.site, "task.txt"), "utf8")).toBe("build it");
  expect(readFileSync(join(place.folders.site, "notes.txt"), "utf8")).toContain(place.folders.site);
  expect(existsSync(join(place.folders.site, "AGENTS.md"))).toBe(false);
  expect(await (await fetch(`http://127.0.0.1:${place.port}/`)).text()).toContain("<h1>site</h1>");
  first.stop.abort();
  expect(await first.exited).toBe(143);

  rmSync(join(place.folders.site, "task.txt"));
  const second = boot(place, task);
  await expect.poll(() => second.lines.join("\n")).toContain("was done already");
  expect(await (await fetch(`http://127.0.0.1:${place.port}/`)).text()).toContain("<h1>site</h1>");
  expect(existsSync(join(place.folders.site, "task.txt"))).toBe(false);
});

test("work waits for the files that are brought to it", async () => {
  const place = await workplace("");
  const work = boot(place, { kind: "command", command: "cat in/a.txt", server: false }, { brings_files: true });
  expect(work.lines).toEqual([]);
  for (const folder of ["in", ".claw"]) mkdirSync(join(place.folders.workspace, folder));
  writeFileSync(join(place.folders.workspace, "in/a.txt"), "brought");
  writeFileSync(join(place.folders.workspace, ".claw/brought"), "");
  expect(await work.ended).toMatchObject({ ok: true });
});

test("failed work stays up, says why, and is tried again at the next boot", async () => {
  const place = await workplace(`echo '{"ok":false,"status":"error","error":{"message":"HTTP 401"}}'; exit 1`);
  const first = boot(place, task);
  expect(await first.ended).toMatchObject({ ok: false, text: "the agent gave up: HTTP 401", site: false });
  expect(await (await fetch(`http://127.0.0.1:${place.port}/`)).text()).toContain("HTTP 401");
  expect(existsSync(place.marker)).toBe(false);
});

test("an agent whose model refuses the key says so in plain words, whatever the agent makes of it", async () => {
  const refusing = createHttpServer((_request, response) => void response.writeHead(401).end('{"error":"no"}'));
  refusing.listen(0, "127.0.0.1");
  await once(refusing, "listening");
  onTestFinished(() => void refusing.close());
  const { port } = refusing.address() as AddressInfo;
  const ask = `const at = process.argv.indexOf("--config") + 1;
const { models } = JSON.parse(require("fs").readFileSync(process.argv[at], "utf8"));
fetch(models.providers.claw.baseUrl, { method: "POST", body: "{}" }).then(() => {
  console.log(JSON.stringify({ ok: false, status: "error", error: { message: "something went wrong" } }));
  process.exit(1);
});`;
  const place = await workplace(`exec ${process.execPath} -e '${ask}' -- "$@"`);
  const first = boot(place, { ...task, llm: { ...llm, base_url: `http://127.0.0.1:${port}/v1` } });
  expect((await first.ended).text).toContain("refused the key (401)");
  expect(first.lines.join("\n")).toContain("the model's provider answered 401");
});

test("results have a folder, and are told as they appear", async () => {
  const place = await workplace(
    `echo 1 > ../out/table.csv; sleep 0.3; echo '{"ok":true,"status":"ok","final":"done"}'`,
  );
  const first = boot(place, task);
  expect(await first.ended).toMatchObject({ ok: true, site: false });
  expect(first.lines.join("\n")).toContain("wrote table.csv");
});

test("an agent that is killed is taken for out of memory", async () => {
  const place = await workplace("kill -9 $$");
  expect((await boot(place, task).ended).text).toContain("ran out of memory");
});

test("an image without OpenClaw is a failure with a reason, not a crash", async () => {
  const place = await workplace("true");
  vi.stubEnv("PATH", "/nowhere");
  expect((await boot(place, task).ended).text).toContain("could not be started");
});

test("a command's exit code is the result", async () => {
  const place = await workplace("true");
  const good = boot(place, { kind: "command", command: "echo hi > out.txt", server: false });
  expect(await good.ended).toMatchObject({ ok: true, site: false });
  expect(readFileSync(join(place.folders.workspace, "out.txt"), "utf8")).toBe("hi\n");
  rmSync(place.marker);
  const bad = boot(place, { kind: "command", command: "exit 3", server: false });
  expect(await bad.ended).toMatchObject({ ok: false, text: "the command ended with exit code 3." });
});

test("stopping ends the command and all that it started, without a result", async () => {
  const place = await workplace("true");
  const running = boot(place, { kind: "command", command: "sleep 1000 & echo $! > pid; wait", server: false });
  const pid = () => readFileSync(join(place.folders.workspace, "pid"), "utf8");
  await expect.poll(pid).toMatch(/\d+\n/);
  const commandLine = `/proc/${Number(pid())}/cmdline`;
  running.stop.abort();
  expect(await running.exited).toBe(143);
  await expect.poll(() => existsSync(commandLine) && readFileSync(commandLine, "utf8")).toBeFalsy();
  expect(running.lines.some((line) => parseWorkLine(line)?.claw === "done")).toBe(false);
});

test("a server is done when its port answers, and its end is the instance's", async () => {
  const place = await workplace("true");
  const command = `exec node -e 'require("net").createServer().listen(${place.port},"127.0.0.1"); setTimeout(() => process.exit(0), 3000)'`;
  const server = boot(place, { kind: "command", command, server: true });
  expect(await server.ended).toMatchObject({ ok: true, site: true });
  expect(existsSync(place.marker)).toBe(false);
  expect(await server.exited).toBe(1);
});
