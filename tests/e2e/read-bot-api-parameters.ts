import type { IncomingMessage } from "node:http";

export interface BotApiParameters {
  parameters: Record<string, unknown>;
  /** names of the uploaded files */
  files: string[];
}

/** Reads a call of the Bot API: query, JSON, form or multipart. */
export async function readParameters(request: IncomingMessage, query: URLSearchParams): Promise<BotApiParameters> {
  const body = Buffer.concat(await request.toArray());
  const type = request.headers["content-type"] ?? "";
  const parameters: Record<string, unknown> = Object.fromEntries(query);
  if (body.length === 0) return { parameters, files: [] };
  if (type.startsWith("application/json"))
    return { parameters: { ...parameters, ...JSON.parse(body.toString()) }, files: [] };
  const files: string[] = [];
  for (const [name, value] of await new Response(body, { headers: { "content-type": type } }).formData()) {
    if (typeof value === "string") parameters[name] = value;
    else files.push(value.name);
  }
  return { parameters, files };
}
