import type { ExecLine, LogLine } from "@aegis/protocol/exec";
import type { InstanceView } from "@aegis/protocol/instance";
import { parseWorkLine } from "../work-line.ts";
import { shorten } from "./chat-text.ts";
import type { WorkRecord } from "./work-record.ts";

const MAX_OUTPUT = 6000;

export function statusText(work: WorkRecord, instance: InstanceView): string {
  const lines = [
    `${work.handle}: ${instance.state}, ${phaseText(work)}`,
    `job: ${work.title}`,
    `memory: ${usedMemory(instance)}${instance.memory_mb} MB`,
  ];
  if (instance.failure !== null) lines.push(`failure: ${instance.failure}`);
  for (const endpoint of instance.endpoints) lines.push(`port ${endpoint.guest_port}: ${endpoint.url}`);
  return lines.join("\n");
}

export const listLine = (work: WorkRecord, instance: InstanceView): string =>
  `${work.handle}: ${instance.state}, ${phaseText(work)} (${shorten(work.title, 80)})`;

/** Log lines as people read them: the runner's own JSON lines become plain text. */
export function logText(lines: readonly LogLine[]): string {
  if (lines.length === 0) return "(no output yet)";
  return lastOf(lines.map(plainLine).join("\n"), MAX_OUTPUT);
}

export function execText(lines: readonly ExecLine[]): string {
  const output: string[] = [];
  let end = "";
  for (const line of lines) {
    if ("stream" in line) output.push(line.line);
    else if ("exit_code" in line) end = `exit code ${line.exit_code}`;
    else if ("error" in line) end = `failed: ${line.error}`;
  }
  return [lastOf(output.join("\n"), MAX_OUTPUT), end].filter((part) => part !== "").join("\n");
}

const usedMemory = (instance: InstanceView): string =>
  instance.stats === null ? "" : `${Math.round(instance.stats.memory_bytes / 1048576)} of `;

function phaseText(work: WorkRecord): string {
  switch (work.phase) {
    case "running":
      return "working";
    case "done":
      return work.kind === "server" ? "serving" : "work done";
    case "failed":
      return "work failed";
    case "stopped":
      return "work stopped";
  }
}

function plainLine(line: LogLine): string {
  const said = line.source === "boot" ? parseWorkLine(line.line) : null;
  if (said === null) return line.line;
  return said.claw === "progress" ? `• ${said.text}` : `${said.ok ? "done" : "failed"}: ${said.text}`;
}

const lastOf = (text: string, max: number): string => (text.length <= max ? text : `…${text.slice(-max)}`);
