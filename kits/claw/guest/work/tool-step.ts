const MAX_DETAIL = 120;

/** What a tool call was, in a few words for the person who waits; null when it is not worth a word. */
export function toolStep(tool: string, params: Record<string, unknown>): string | null {
  switch (tool) {
    // what is written is seen in the folder, when it is written
    case "write":
    case "process":
      return null;
    case "edit":
      return `edited ${text(params["path"] ?? params["file_path"])}`;
    case "apply_patch":
      return "edited files";
    case "read":
    case "ls":
      return `looked at ${text(params["path"] ?? params["file_path"] ?? "the folder")}`;
    case "exec":
    case "bash":
      return `ran ${text(params["command"])}`;
    case "web_fetch":
      return `fetched ${text(params["url"])}`;
    case "web_search":
      return `searched for ${text(params["query"])}`;
    default:
      return `used ${tool}`;
  }
}

function text(value: unknown): string {
  const line = typeof value === "string" ? value.replaceAll(/\s+/g, " ").trim() : "";
  return line.length <= MAX_DETAIL ? line : `${line.slice(0, MAX_DETAIL - 1)}…`;
}
