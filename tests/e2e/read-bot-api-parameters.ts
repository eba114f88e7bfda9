import type { IncomingMessage } from "node:http";

export interface BotApiParameters {
  parameters: Record<string, unknown>;
  /** what was uploaded, by the name of the file */
  files: Map<string, Buffer>;
}

/** Reads a call of the Bot API: query, JSON, form or multipart. */
export async function readParameters(request: IncomingMessage, query: URLSearchParams): Promise<BotApiParameters> {
  const body = Buffer.concat(await request.toArray());
  const type = request.headers["content-type"] ?? "";
  const parameters: Record<string, unknown> = Object.fromEntries(query);
  if (body.length === 0) return { parameters, files: new Map() };
  if (type.startsWith("application/json"))
    return { parameters: { ...parameters, ...JSON.parse(body.toString()) }, files: new Map() };
  const files = new Map<string, Buffer>();
  for (const [name, value] of await new Response(body, { headers: { "content-type": type } }).formData()) {
    if (typeof value === "string") parameters[name] = value;
    else files.set(value.name, Buffer.from(await value.arrayBuffer()));
  }
  return { parameters, files };
}
