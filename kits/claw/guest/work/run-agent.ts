import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { LlmConfig } from "../claw-config.ts";
import { agentConfig, workNotes } from "./agent-config.ts";
import { agentFailure, parseEnvelope } from "./agent-envelope.ts";
import { NOTES_FILE } from "./watch-files.ts";
import { killGroup } from "./kill-group.ts";
import type { JobResult, Tell } from "./job.ts";
import { ModelTap } from "./model-tap.ts";

const TIMEOUT_S = 3600;
const KEPT_REMARKS = 20;

export interface AgentJob {
  task: string;
  llm: LlmConfig;
  site: string;
  /** where OpenClaw's config of this run goes */
  config: string;
}

/** Runs one headless agent turn until it is done. Aborting kills it with all it started. */
export async function runAgent(job: AgentJob, tell: Tell, signal: AbortSignal): Promise<JobResult> {
  const tap = await ModelTap.open(job.llm.base_url, tell);
  mkdirSync(dirname(job.config), { recursive: true });
  writeFileSync(job.config, JSON.stringify(agentConfig({ ...job.llm, base_url: tap.baseUrl })));
  const notes = join(job.site, NOTES_FILE);
  writeFileSync(notes, workNotes(job.site));
  return await runTurn(job, tap, signal).finally(() => {
    tap.close();
    rmSync(notes, { force: true });
  });
}

function runTurn(job: AgentJob, tap: ModelTap, signal: AbortSignal): Promise<JobResult> {
  const args = ["agent", "exec", "--message-file", "-", "--config", job.config, "--cwd", job.site, "--json"];
  const child = spawn("openclaw", [...args, "--timeout", String(TIMEOUT_S)], {
    cwd: job.site,
    env: { ...process.env, OPENCLAW_NO_RESPAWN: "1", NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const kill = () => killGroup(child);
  signal.addEventListener("abort", kill, { once: true });
  child.stdin.on("error", ignoreClosedPipe).end(job.task);
  // what a work instance prints is for people: OpenClaw's own remarks only help when it failed
  const remarks: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    remarks.push(line);
    if (remarks.length > KEPT_REMARKS) remarks.shift();
  });
  const stdout: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<JobResult>();
  child.once("error", (error) =>
    reject(new Error(`the agent could not be started: ${error.message}`, { cause: error })),
  );
  child.once("close", (code, killedBy) => {
    signal.removeEventListener("abort", kill);
    const envelope = parseEnvelope(Buffer.concat(stdout).toString());
    const result: JobResult =
      envelope?.ok === true
        ? { ok: true, text: envelope.final ?? "" }
        : { ok: false, text: agentFailure({ envelope, code, killedBy, refusal: tap.refusal }) };
    if (!result.ok && !signal.aborted) for (const line of remarks) process.stderr.write(`${line}\n`);
    resolve(result);
  });
  return promise;
}

function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") process.stderr.write(`message to the agent: ${error.message}\n`);
}
