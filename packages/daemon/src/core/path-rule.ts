/** One entry of a binding's `paths`. */
export interface PathRule {
  /** null: any */
  method: string | null;
  pattern: RegExp;
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** `GET /v1/models`, `/files/**`: `*` is any run of characters within one segment, `**` any run at all. */
export function pathRule(text: string): PathRule {
  const [, method, path = "/"] = /^(?:([A-Z]+) )?(.*)$/.exec(text) ?? [];
  const source = path
    .split(/(\*+)/)
    .map((part) => (part.startsWith("**") ? ".*" : part === "*" ? "[^/]*" : escaped(part)))
    .join("");
  return { method: method ?? null, pattern: new RegExp(`^${source}$`) };
}

export type PathVerdict = "allowed" | "method" | "path";

/** `method` when the path is allowed with another one. */
export function judgePath(rules: readonly PathRule[] | null, method: string, path: string): PathVerdict {
  if (rules === null) return "allowed";
  const onPath = rules.filter(({ pattern }) => pattern.test(path));
  if (onPath.length === 0) return "path";
  return onPath.some((rule) => rule.method === null || rule.method === method) ? "allowed" : "method";
}
