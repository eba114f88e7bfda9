import { existsSync, mkdirSync } from "node:fs";
import { once } from "node:events";
import type { Server } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StayAwake } from "../plugin/stay-awake.ts";
import { formatWorkLine } from "../work-line.ts";
import { BROUGHT, RESULT_FOLDER, type WorkSpec } from "../work-spec.ts";
import type { JobResult } from "./job.ts";
import { portOpen } from "./port-open.ts";
import { runAgent } from "./run-agent.ts";
import { runCommand } from "./run-command.ts";
import { hasSite } from "./site-file.ts";
import { siteServer } from "./site-server.ts";
import { watchFiles } from "./watch-files.ts";
import { readMarker, writeMarker } from "./work-state.ts";
import type { WorkStatus } from "./work-status.ts";

export interface WorkParts {
  spec: WorkSpec;
  folders: { workspace: string; site: string };
  awake: Pick<StayAwake, "hold" | "release">;
  print: (line: string) => void;
  /** stops everything at once */
  signal: AbortSignal;
}

const TERMINATED = 143;
const LOOK_MS = 50;
/** A server that takes longer to start is told as failed, though it may come yet. */
const LISTEN_WITHIN_MS = 180_000;

/** @returns the exit code of the instance; it only ends when it is stopped, or when its server ends */
export async function runWork(parts: WorkParts): Promise<number> {
  const { job } = parts.spec;
  await untilEquipped(parts);
  if (job.kind === "command" && job.server) return await runServer(parts, job.command);
  const status: WorkStatus = { title: parts.spec.title, phase: "building", steps: [], text: "" };
  const server = job.kind === "task" ? await serve(parts, status) : null;
  const before = readMarker(markerPath(parts));
  if (before === null) await doOnce(parts, status);
  else {
    Object.assign(status, { phase: "ready", text: before.text });
    parts.print(`the work was done already (${before.finished_at}); it is not done again`);
  }
  if (!parts.signal.aborted) await once(parts.signal, "abort");
  server?.closeAllConnections();
  server?.close();
  return TERMINATED;
}

/** What people have sent for the work is there. */
async function untilEquipped({ spec, folders, signal }: WorkParts): Promise<void> {
  if (spec.brings_files !== true) return;
  const brought = join(folders.workspace, BROUGHT);
  while (!existsSync(brought) && !signal.aborted) await delay(LOOK_MS);
}

/** Does the job, says how it goes and how it ended, and marks it as done if it went well. */
async function doOnce(parts: WorkParts, status: WorkStatus): Promise<void> {
  const { awake, print, folders, signal } = parts;
  const startedAt = Date.now();
  const tell = (step: string) => {
    status.steps.push(step);
    print(formatWorkLine({ claw: "progress", text: step }));
  };
  awake.hold("work", "working");
  tell(parts.spec.job.kind === "task" ? "starting the agent" : "running the command");
  const results = join(folders.workspace, RESULT_FOLDER);
  mkdirSync(results, { recursive: true });
  const watchers = [folders.site, results].map((folder) => watchFiles(folder, tell));
  const result = await runJob(parts, tell).catch(failed);
  for (const watcher of watchers) watcher.close();
  awake.release("work");
  if (signal.aborted) return;
  const seconds = Math.round((Date.now() - startedAt) / 100) / 10;
  Object.assign(status, { phase: result.ok ? "ready" : "failed", text: result.text });
  if (result.ok) writeMarker(markerPath(parts), { text: result.text, seconds, finished_at: new Date().toISOString() });
  const site = parts.spec.job.kind === "task" && (await hasSite(folders.site));
  print(formatWorkLine({ claw: "done", ok: result.ok, text: result.text, seconds, site }));
}

function runJob(parts: WorkParts, tell: (step: string) => void): Promise<JobResult> {
  const { spec, folders, signal } = parts;
  if (spec.job.kind === "command") return runCommand(spec.job.command, folders.workspace, signal);
  const { task, llm } = spec.job;
  const config = join("/tmp", "claw", "agent.json");
  return runAgent({ task, llm, site: folders.site, config }, tell, signal);
}

/** A command that listens: told as done once its port answers; the instance lives as long as it does. */
async function runServer(parts: WorkParts, command: string): Promise<number> {
  const { awake, print, spec, folders, signal } = parts;
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 100) / 10;
  const ended = new AbortController();
  awake.hold("work", "the server is starting");
  print(formatWorkLine({ claw: "progress", text: "starting the server" }));
  const say = (ok: boolean, text: string) =>
    print(formatWorkLine({ claw: "done", ok, text, seconds: seconds(), site: ok }));
  const patience = AbortSignal.timeout(LISTEN_WITHIN_MS);
  const listening = portOpen(spec.port, AbortSignal.any([signal, ended.signal, patience])).then(
    () => say(true, `It listens on port ${spec.port}.`),
    () => patience.aborted && say(false, `nothing listens on port ${spec.port} yet; the command goes on running.`),
  );
  void listening.finally(() => awake.release("work"));
  const result = await runCommand(command, folders.workspace, signal).catch(failed);
  ended.abort();
  await listening;
  if (signal.aborted) return TERMINATED;
  // after "done" this line is history: the log keeps it, the chat does not hear it
  say(false, result.text);
  return 1;
}

async function serve(parts: WorkParts, status: WorkStatus): Promise<Server> {
  const server = siteServer(parts.folders.site, () => status);
  server.listen(parts.spec.port, "0.0.0.0");
  await once(server, "listening");
  parts.print(`serving ${parts.folders.site} on port ${parts.spec.port}`);
  return server;
}

const markerPath = (parts: WorkParts): string => join(parts.folders.workspace, ".claw", "done.json");

const failed = (error: unknown): JobResult => ({
  ok: false,
  text: error instanceof Error ? error.message : String(error),
});
