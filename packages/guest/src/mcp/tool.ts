import { AegisError } from "@aegis/protocol/errors";
import type { AegisClient } from "@aegis/sdk/client";
import type { SelfApi } from "@aegis/sdk/self-api";
import { fromJsonSchema, type CallToolResult, type McpServer } from "@modelcontextprotocol/server";
import type { Static, TSchema } from "typebox";

/** What the tools work with. */
export interface GuestApi {
  client: AegisClient;
  self: SelfApi;
}

export interface ToolSpec<S extends TSchema> {
  name: string;
  description: string;
  input: S;
  /** changes nothing */
  readOnly?: true;
}

/** Adds a tool; what it returns is the answer as JSON, an error of the API is a tool error with its text. */
export function addTool<S extends TSchema>(
  server: McpServer,
  { name, description, input, readOnly }: ToolSpec<S>,
  call: (args: Static<S>, signal: AbortSignal) => Promise<unknown>,
): void {
  const annotations = { readOnlyHint: readOnly === true, openWorldHint: false };
  const inputSchema = fromJsonSchema<Static<S>>({ ...input, type: "object" });
  server.registerTool(name, { description, inputSchema, annotations }, async (args, { mcpReq }) => {
    try {
      return textResult(JSON.stringify(await call(args, mcpReq.signal), null, 2));
    } catch (error) {
      if (!(error instanceof AegisError)) throw error;
      return { ...textResult(`${error.code}: ${error.message}`), isError: true };
    }
  });
}

const textResult = (text: string): CallToolResult => ({ content: [{ type: "text", text }] });
