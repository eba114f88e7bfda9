import type { CommandContext } from "./openclaw-api.ts";
import { runTool, toolSpecs, type WorkParts } from "./work-tools.ts";

const usage = "/work: list the work of this chat\n/work status|logs|stop|link [name]";

const verbs: Record<string, string> = {
  list: "work_list",
  status: "work_status",
  logs: "work_logs",
  stop: "work_stop",
  link: "work_preview",
};

/** `/work ...`: the tools for people, without the model. */
export async function workCommand(parts: WorkParts, context: CommandContext): Promise<string> {
  const [verb = "list", name] = (context.args ?? "")
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "");
  const tool = toolSpecs.find((spec) => spec.name === verbs[verb]);
  if (tool === undefined) return usage;
  const client = { session: context.sessionKey ?? "unknown", agent: null, chat: null };
  return await runTool(tool, parts, client, name === undefined ? {} : { name });
}
