import type { ExecLine, ExecRequest } from "@aegis/protocol/exec";
import type { PreviewView } from "@aegis/protocol/preview";
import type { LlmConfig } from "../claw-config.ts";
import { refusalText } from "./failure-text.ts";
import { type GuestApi, GuestApiError } from "./guest-api.ts";
import type { Kit } from "./kit.ts";
import type { SandboxDesk } from "./sandbox-desk.ts";
import { sendFile } from "./send-file.ts";
import type { AgentTool, ToolContext, ToolResult } from "./openclaw-api.ts";
import { optionalDuration, optionalFlag, optionalText, optionalWhole, requiredText, textList } from "./tool-params.ts";
import type { Client, WorkDesk } from "./work-desk.ts";
import type { WorkFiles } from "./work-files.ts";
import type { LinkWish, WorkLinks } from "./work-links.ts";
import { orderOf } from "./work-order.ts";
import { WorkRefused } from "./work-refused.ts";
import { resumeWork } from "./work-resume.ts";
import type { WorkRecord } from "./work-record.ts";
import type { WorkStore } from "./work-store.ts";
import { execText, listLine, logText, statusText } from "./work-texts.ts";
import type { WorkWatcher } from "./work-watcher.ts";

export interface WorkParts {
  api: GuestApi;
  desk: WorkDesk;
  store: WorkStore;
  links: WorkLinks;
  files: WorkFiles;
  watcher: Pick<WorkWatcher, "watch">;
  sandboxes: Pick<SandboxDesk, "of">;
  price: LlmConfig["price"];
}

type Run = (parts: WorkParts, client: Client, params: Record<string, unknown>, signal?: AbortSignal) => Promise<string>;

export interface ToolSpec {
  name: string;
  label: string;
  description: string;
  properties: Record<string, unknown>;
  required?: string[];
  run: Run;
}

const name = { type: "string", description: "name of the work instance; left out: the newest of this chat" };

export const toolSpecs: readonly ToolSpec[] = [
  {
    name: "work_spawn",
    label: "Start work",
    description:
      "Starts an isolated work instance for a heavy job and answers at once. Give `task` (an agent does it alone, and what it puts into its site is published) or `command` (a shell command in /workspace; with `ports` it is a server). Files that it leaves in /workspace/out are sent to the chat when it is done. Progress, result and link reach the chat by themselves: do not wait and do not make up a link.",
    properties: {
      task: { type: "string", description: "everything the agent must know, in full sentences" },
      command: { type: "string", description: "shell command to run instead of a task" },
      name: { type: "string", description: "short name; left out: work-1, work-2 ..." },
      image: { type: "string", description: "container image for a command, e.g. python:3.12; usually left out" },
      memory_mb: { type: "integer", description: "memory in MB; usually left out" },
      ports: { type: "array", items: { type: "integer" }, description: "ports that a server listens on" },
      files: {
        type: "array",
        items: { type: "string" },
        description: "names of files that the person has sent in this chat; the work finds them in /workspace/in",
      },
      network: {
        anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }],
        description: '"open" (usual), "none", or the only hosts it may reach, e.g. ["pypi.org"]; usually left out',
      },
      lifetime: {
        type: "string",
        description: 'after it, the instance is stopped for good, e.g. "2h"; usually left out',
      },
    },
    run: async ({ desk, watcher }, client, params) => {
      const work = await desk.spawn(client, orderOf(params));
      watcher.watch(work);
      return `Started ${work.handle} (${work.memory_mb} MB). It is working now. Progress and the result, with a link if there is something to look at, are sent to the chat by themselves. Tell the person in one sentence that it has started.`;
    },
  },
  {
    name: "work_list",
    label: "List work",
    description: "Lists the work instances of this chat and what they do.",
    properties: {},
    run: async ({ desk }, client) => {
      const mine = await desk.list(client.session);
      if (mine.length === 0) return "This chat has no work instance.";
      return mine.map(({ work, instance }) => listLine(work, instance)).join("\n");
    },
  },
  {
    name: "work_status",
    label: "Work status",
    description: "Says how a work instance is: state, job, memory, links.",
    properties: { name },
    run: async ({ api, desk }, client, params) => {
      const work = wanted(desk, client, params);
      return statusText(work, await api.get(work.id));
    },
  },
  {
    name: "work_exec",
    label: "Run in work",
    description:
      "Runs a shell command in a work instance and returns its output and exit code. Files are in /workspace.",
    properties: { command: { type: "string" }, name },
    required: ["command"],
    run: async ({ api, desk }, client, params, signal) => {
      const command = ["sh", "-c", requiredText(params, "command")];
      const work = wanted(desk, client, params);
      return execText(await all(await execAwake(api, work.id, { command, cwd: "/workspace" }, signal)));
    },
  },
  {
    name: "work_logs",
    label: "Work logs",
    description: "Returns the last lines that a work instance printed.",
    properties: { name, tail: { type: "integer", description: "how many; 40 if left out" } },
    run: async ({ api, desk }, client, params, signal) => {
      const tail = optionalWhole(params, "tail", 1, 1000) ?? 40;
      const work = wanted(desk, client, params);
      return `${work.handle}:\n${logText(await all(await api.logs(work.id, { tail }, signal)))}`;
    },
  },
  {
    name: "work_stop",
    label: "Stop work",
    description: "Stops a work instance. Its files are kept; opening its link starts it again.",
    properties: { name },
    run: async ({ api, desk }, client, params) => {
      const work = wanted(desk, client, params);
      await api.stop(work.id);
      return `${work.handle} is stopped. Its files are kept.`;
    },
  },
  {
    name: "work_resume",
    label: "Resume work",
    description: "Starts a work instance that was stopped. Work that was not done is done again; work that was is not.",
    properties: { name },
    run: async (parts, client, params) => await resumeWork(parts, wanted(parts.desk, client, params)),
  },
  {
    name: "work_files",
    label: "Work files",
    description:
      "Lists the files of a work instance. With `path`: sends that file or picture to the chat. With `put`: brings files of the chat into it.",
    properties: {
      name,
      path: { type: "string", description: "file to send, e.g. out/plot.png" },
      put: {
        type: "array",
        items: { type: "string" },
        description: "names of files that the person has sent in this chat, to be put into /workspace/in",
      },
      folder: { type: "string", description: "folder to list; left out: all of /workspace" },
    },
    run: async ({ desk, files }, client, params) => {
      const work = wanted(desk, client, params);
      const put = textList(params, "put");
      if (put.length > 0) return `They are there now: ${(await desk.bring(work, put)).join(", ")}`;
      const path = optionalText(params, "path");
      if (path === null) return await files.list(work, optionalText(params, "folder") ?? "");
      if (client.chat === null) throw new WorkRefused("This chat cannot take files.");
      return `${await files.send(work, client.chat, path)} was sent to the chat.`;
    },
  },
  {
    name: "work_preview",
    label: "Work link",
    description:
      "Returns the link of a work instance as it is now. With `password`, `once` or `for` it makes another link, which asks for that password, opens for one browser only, or ends after that time.",
    properties: {
      name,
      port: { type: "integer", description: "one of its ports; left out: the first" },
      password: { type: "string" },
      once: { type: "boolean" },
      for: { type: "string", description: 'e.g. "2h"' },
    },
    run: async ({ api, desk, links }, client, params) => {
      const work = wanted(desk, client, params);
      const wish = wishOf(params);
      const { endpoints } = await api.get(work.id);
      if (endpoints.length === 0) return `${work.handle} has no public port.`;
      if (wish.password !== undefined || wish.one_time !== undefined || wish.ttl_s !== undefined)
        return specialText(await links.special(work, wish));
      const chosen = endpoints.filter(({ guest_port }) => wish.port === undefined || guest_port === wish.port);
      if (chosen.length === 0) throw new WorkRefused(`${work.handle} has no public port ${wish.port}.`);
      const urls = chosen.map(async ({ guest_port, url }) => {
        const link = await links.usual(work, guest_port, url);
        return chosen.length === 1 ? link : `port ${guest_port}: ${link}`;
      });
      return (await Promise.all(urls)).join("\n");
    },
  },
  sendFile,
];

/** A tool as OpenClaw wants it, bound to the chat of the turn. */
export function agentTool(spec: ToolSpec, context: ToolContext, run: Kit["runTool"]): AgentTool {
  return {
    name: spec.name,
    label: spec.label,
    description: spec.description,
    parameters: {
      type: "object",
      properties: spec.properties,
      additionalProperties: false,
      ...(spec.required === undefined ? {} : { required: spec.required }),
    },
    execute: async (_callId, params, signal) => answer(await run(spec.name, clientOf(context), params, signal)),
  };
}

/** @returns what the tool says; a refusal is an answer too, so that the model can pass it on */
export async function runTool(
  spec: ToolSpec,
  parts: WorkParts,
  client: Client,
  params: Record<string, unknown>,
  signal?: AbortSignal,
): Promise<string> {
  try {
    return await spec.run(parts, client, params, signal);
  } catch (error) {
    return `${spec.name} failed. ${error instanceof WorkRefused ? error.message : refusalText(error)}`;
  }
}

/** A stopped instance is started for it: whoever asks for a command wants it run. */
async function execAwake(
  api: GuestApi,
  id: string,
  body: ExecRequest,
  signal?: AbortSignal,
): Promise<AsyncIterable<ExecLine>> {
  try {
    return await api.exec(id, body, signal);
  } catch (error) {
    if (!(error instanceof GuestApiError && error.code === "wrong_state")) throw error;
    await api.start(id);
    return await api.exec(id, body, signal);
  }
}

const wanted = (desk: WorkDesk, client: Client, params: Record<string, unknown>): WorkRecord =>
  desk.find(client.session, optionalText(params, "name"));

function wishOf(params: Record<string, unknown>): LinkWish {
  const port = optionalWhole(params, "port", 1, 65535);
  const password = optionalText(params, "password");
  const ttl = optionalDuration(params, "for");
  return {
    ...(port === null ? {} : { port }),
    ...(password === null ? {} : { password }),
    ...(optionalFlag(params, "once") ? { one_time: true } : {}),
    ...(ttl === null ? {} : { ttl_s: ttl }),
  };
}

function specialText({ url, password, one_time, expires_at }: PreviewView): string {
  const traits = [
    password ? "asks for the password" : null,
    one_time ? "opens for one browser only" : null,
    expires_at === null ? null : `ends at ${expires_at}`,
  ].filter((trait) => trait !== null);
  return `${url}\n(${traits.join(", ")})`;
}

const clientOf = (context: ToolContext): Client => ({
  session: context.sessionKey ?? "unknown",
  agent: context.agentId ?? null,
  chat: context.deliveryContext ?? null,
});

const answer = (text: string): ToolResult => ({ content: [{ type: "text", text }] });

async function all<T>(lines: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const line of lines) collected.push(line);
  return collected;
}
