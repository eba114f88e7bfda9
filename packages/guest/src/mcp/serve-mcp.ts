import { AegisClient } from "@aegis/sdk/client";
import { SelfApi } from "@aegis/sdk/self-api";
import { McpServer } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { guestEndpoint } from "../commands/guest-socket.ts";
import { addInstanceTools } from "./instance-tools.ts";
import { addSelfTools } from "./self-tools.ts";

const INSTRUCTIONS =
  "You run inside of an Aegis instance, an isolated machine. With these tools you create and use child instances, keep yourself awake and open ports. Begin with self_info: its capabilities say what is allowed.";

/** `aegis-mcp-guest`: the Guest API as tools, on stdin and stdout. Settles when the client has gone. */
export async function serveMcp(version: string): Promise<void> {
  const endpoint = guestEndpoint(process.env);
  const api = { client: new AegisClient(endpoint), self: new SelfApi(endpoint) };
  const gone = Promise.withResolvers<void>();
  process.stdin.once("end", () => gone.resolve()).once("close", () => gone.resolve());
  const handle = serveStdio(() => {
    const server = new McpServer({ name: "aegis-guest", version }, { instructions: INSTRUCTIONS });
    addInstanceTools(server, api);
    addSelfTools(server, api);
    return server;
  });
  await gone.promise;
  await handle.close();
}
