/** What the work runner says on its standard output, one JSON object a line, beside lines for people. */
export type WorkLine =
  | { claw: "progress"; text: string }
  | {
      claw: "done";
      ok: boolean;
      /** the agent's last words, or why it failed */
      text: string;
      seconds: number;
      /** there is a page to look at */
      site: boolean;
    };

/** @returns null for every line that is not the runner's own */
export function parseWorkLine(line: string): WorkLine | null {
  if (!line.startsWith('{"claw":')) return null;
  const value = parseJson(line);
  if (value === null || typeof value["text"] !== "string") return null;
  const text = value["text"];
  if (value["claw"] === "progress") return { claw: "progress", text };
  if (value["claw"] !== "done" || typeof value["ok"] !== "boolean") return null;
  const seconds = typeof value["seconds"] === "number" ? value["seconds"] : 0;
  return { claw: "done", ok: value["ok"], text, seconds, site: value["site"] === true };
}

export const formatWorkLine = (line: WorkLine): string => JSON.stringify(line);

function parseJson(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
