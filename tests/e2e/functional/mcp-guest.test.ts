import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";

const CLI = fileURLToPath(new URL("../../../packages/cli/bin/aegis.mjs", import.meta.url));
const FOREVER = ["sleep", "infinity"];
const TOOLS = [
  "expose_port",
  "instance_exec",
  "instance_info",
  "instance_list",
  "instance_logs",
  "instance_spawn",
  "instance_stop",
  "keepalive_acquire",
  "keepalive_release",
  "self_info",
  "unexpose_port",
];

describe("aegis-mcp-guest, to the MCP library's own client", () => {
  let aegis: Aegis;
  let parent: string;
  let client: Client;
  beforeAll(async () => {
    aegis = await startAegis({ images: ["busybox"] });
    const capabilities = {
      spawn: true,
      spawn_depth: 1,
      max_children: 2,
      allowed_images: ["test/*"],
      max_memory_mb: 64,
      max_vcpus: 1,
      max_expose_ports: 1,
    };
    parent = (await aegis.boot({ command: FOREVER, handle: "parent", memory_mb: 256, capabilities })).id;
    client = new Client({ name: "test", version: "1" });
    const args = [CLI, "exec", "-i", "parent", "--", "aegis-mcp-guest"];
    await client.connect(new StdioClientTransport({ command: process.execPath, args, env: aegis.env }));
  });
  afterAll(async () => {
    await client.close();
    await aegis.stop();
  });
  afterEach(async () => {
    for (const { id } of await aegis.client.instances.list({ parentId: parent }))
      await aegis.client.instances.delete(id);
  });

  async function call(name: string, args: Record<string, unknown> = {}): Promise<{ isError: boolean; text: string }> {
    const { content, isError } = await client.callTool({ name, arguments: args });
    const [first] = content;
    return { isError: isError === true, text: first?.type === "text" ? first.text : "" };
  }
  const answer = async (name: string, args?: Record<string, unknown>): Promise<unknown> => {
    const { isError, text } = await call(name, args);
    if (isError) throw new Error(text);
    return JSON.parse(text);
  };

  it("says who it is and what it can do, each tool with a description and a schema", async () => {
    expect(client.getServerVersion()).toMatchObject({ name: "aegis-guest" });
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).sort()).toEqual(TOOLS);
    for (const { description, inputSchema } of tools) {
      expect(description?.length).toBeGreaterThan(40);
      expect(inputSchema).toMatchObject({ type: "object" });
    }
    const exec = tools.find(({ name }) => name === "instance_exec");
    expect(exec?.inputSchema.required).toEqual(["id", "command"]);
  });

  it("carries a child through its life", async () => {
    expect(await answer("self_info")).toMatchObject({ id: parent, capabilities: { spawn: true, children_left: 2 } });
    const command = ["sh", "-c", "echo hello; sleep infinity"];
    const spawned = await answer("instance_spawn", {
      handle: "job",
      command,
      image_ref: IMAGES.busybox,
      memory_mb: 32,
    });
    expect(spawned).toMatchObject({ handle: "job", state: "starting", parent_id: parent });
    await aegis.reaches("job", "running");
    expect(await answer("instance_list")).toMatchObject([{ handle: "job", state: "running" }]);
    await aegis.untilLogged("job", "hello");
    expect(await answer("instance_logs", { id: "job", tail: 20 })).toContainEqual(
      expect.objectContaining({ line: "hello", source: "boot" }),
    );
    const exec = { id: "job", command: ["sh", "-c", "cat; echo err >&2; exit 3"], stdin: "in\n" };
    expect(await answer("instance_exec", exec)).toEqual({ exit_code: 3, stdout: "in\n", stderr: "err\n" });
    const loud = await answer("instance_exec", { id: "job", command: ["seq", "1", "30000"] });
    expect(loud).toMatchObject({ stdout: expect.stringMatching(/^1\n2\n.*characters left out.*\n29999\n30000\n$/s) });
    expect(await answer("expose_port", { id: "job", port: 80 })).toMatchObject({ guest_port: 80 });
    expect(await answer("instance_info", { id: "job" })).toMatchObject({ memory_mb: 32, expose_ports: [80] });
    expect(await answer("unexpose_port", { id: "job", port: 80 })).toEqual({ closed: 80 });
    expect(await answer("instance_stop", { id: "job" })).toMatchObject({ state: "stopped" });
  });

  it("keeps the instance awake and opens its ports", async () => {
    const lease = await answer("keepalive_acquire", { ttl_ms: 60_000, reason: "thinking" });
    expect(await aegis.client.instances.get(parent)).toMatchObject({ lease_reason: "thinking" });
    expect(lease).toMatchObject({ lease_id: expect.stringMatching(/^lease-/) });
    await answer("keepalive_release");
    expect(await aegis.client.instances.get(parent)).toMatchObject({ lease_held: false });
    expect(await answer("expose_port", { port: 80 })).toMatchObject({ guest_port: 80, url: expect.any(String) });
    await answer("unexpose_port", { port: 80 });
    expect(await aegis.client.instances.get(parent)).toMatchObject({ expose_ports: [] });
  });

  it("answers what goes wrong as a tool error, in the words of the API", async () => {
    expect(await call("instance_info", { id: "nobody" })).toEqual({
      isError: true,
      text: expect.stringMatching(/^instance_not_found: There is no instance nobody/),
    });
    const greedy = { command: ["true"], image_ref: IMAGES.busybox, memory_mb: 1024 };
    expect(await call("instance_spawn", greedy)).toEqual({
      isError: true,
      text: expect.stringMatching(/^capability_refused: .*max_memory_mb/),
    });
    await answer("instance_spawn", { handle: "job", command: FOREVER, image_ref: IMAGES.busybox });
    await aegis.reaches("job", "running");
    expect((await call("instance_exec", { id: "job", command: ["nope"] })).text).toMatch(
      /^command_not_found: .*"nope"/,
    );
    const slow = await call("instance_exec", {
      id: "job",
      command: ["sh", "-c", "echo so far; sleep 100"],
      timeout_s: 4,
    });
    expect(slow).toEqual({ isError: true, text: expect.stringMatching(/within 4 s.*so far/s) });
  });
});
