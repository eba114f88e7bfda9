import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ErrorBody } from "@aegis/protocol/errors";
import type { LogLine } from "@aegis/protocol/exec";
import type { SpawnInstance } from "@aegis/protocol/instance";
import type { CreatePreview } from "@aegis/protocol/preview";
import { onTestFinished } from "vitest";
import { GuestApi } from "../../guest/plugin/guest-api.ts";

interface Child {
  id: string;
  handle: string;
  state: string;
  last_active_at: string;
  failure: string | null;
  exit_code: number | null;
  memory_mb: number;
  endpoints: { guest_port: number; public_port: number; protocol: string; url: string }[];
  stats: null;
  lifetime_s: number | null;
  expires_at: string | null;
  bindings: { name: string; usage: { requests: number; input_tokens: number; output_tokens: number } }[];
}

/** A Guest API whose instances do what the test says. */
export class GuestApiDouble {
  readonly spawned: SpawnInstance[] = [];
  readonly children: Child[] = [];
  readonly calls: string[] = [];
  readonly leases = new Set<string>();
  /** where previews lead; null: to the machine itself */
  publicUrl: string | null = null;
  /** by handle and path in the workspace */
  readonly files = new Map<string, string>();
  /** the next spawn is refused with it */
  refusal: { status: number; body: ErrorBody } | null = null;
  readonly #logs = new Map<string, LogLine[]>();
  readonly #previews = new Map<string, (CreatePreview & { token: string })[]>();
  readonly #followers = new Map<string, Set<ServerResponse>>();
  #leaseNumber = 0;

  static async start(): Promise<{ double: GuestApiDouble; api: GuestApi }> {
    const double = new GuestApiDouble();
    const server = createServer((request, response) => void double.#answer(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return { double, api: new GuestApi(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) };
  }

  child(handle: string): Child {
    const child = this.children.find((one) => one.handle === handle);
    if (child === undefined) throw new Error(`no child ${handle}`);
    return child;
  }

  log(handle: string, line: string | object, source: LogLine["source"] = "boot"): void {
    const { id } = this.child(handle);
    const text = typeof line === "string" ? line : JSON.stringify(line);
    const entry: LogLine = { ts: new Date().toISOString(), stream: "stdout", source, line: text };
    this.#logs.set(id, [...(this.#logs.get(id) ?? []), entry]);
    for (const follower of this.#followers.get(id) ?? []) follower.write(`${JSON.stringify(entry)}\n`);
  }

  /** Cuts everybody off who follows, as a daemon that restarts does. */
  cutFollowers(): void {
    for (const followers of this.#followers.values()) for (const follower of followers) follower.destroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const isJson = request.headers["content-type"] === "application/json";
    const body: unknown = isJson ? JSON.parse(text) : {};
    const url = new URL(request.url ?? "/", "http://double");
    this.calls.push(`${request.method} ${url.pathname}`);
    const [, , collection, id = "", verb] = url.pathname.split("/");
    if (collection === "self" && id === "") return send(response, 200, this.#self());
    if (collection === "self") return this.#keepalive(request, response, body as { lease_id?: string });
    if (id === "")
      return request.method === "POST"
        ? this.#spawn(response, body as SpawnInstance)
        : send(response, 200, this.children);
    const child = this.children.find((one) => one.id === id);
    if (child === undefined) return send(response, 404, { error: `no instance ${id}`, code: "instance_not_found" });
    if (verb === "logs") return this.#sendLogs(response, child, url);
    if (verb === "exec") return this.#exec(response, child);
    if (verb === "previews") return this.#preview(request, response, child, body as CreatePreview);
    if (verb === "workspace" && request.method === "POST") {
      this.files.set(`${child.handle}/${url.searchParams.get("path")}`, text);
      return send(response, 201, {});
    }
    if (verb === "workspace") return this.#workspace(response, child, url);
    if (verb === undefined && request.method === "DELETE") {
      this.children.splice(this.children.indexOf(child), 1);
      return void response.writeHead(204).end();
    }
    if (verb === "stop") child.state = "stopped";
    if (verb === "start") child.state = "running";
    send(response, 200, child);
  }

  #self() {
    const usage = { requests: 4, input_tokens: 9000, output_tokens: 1000 };
    const stats = { memory_bytes: 734 * 1048576, swapped_bytes: 0 };
    return { id: "inst-bot", memory_mb: 2048, stats, bindings: [{ name: "llm", usage }] };
  }

  #preview(request: IncomingMessage, response: ServerResponse, child: Child, body: CreatePreview): void {
    const made = this.#previews.get(child.id) ?? [];
    if (request.method === "POST") made.push({ ...body, token: `p-${child.handle}-${made.length + 1}` });
    this.#previews.set(child.id, made);
    const views = made.map((one) => ({
      url: this.publicUrl === null ? `http://${one.token}.localhost:8099/` : `${this.publicUrl}/p/${one.token}/`,
      guest_port: one.port ?? child.endpoints[0]?.guest_port,
      password: one.password !== undefined,
      one_time: one.one_time ?? false,
      expires_at: one.ttl_s === undefined ? null : "2030-01-01T00:00:00Z",
    }));
    send(response, 200, request.method === "POST" ? views.at(-1) : views);
  }

  #workspace(response: ServerResponse, child: Child, url: URL): void {
    const path = url.searchParams.get("path") ?? "";
    const mine = [...this.files].filter(([key]) => key.startsWith(`${child.handle}/`));
    const found = mine.map(([key, text]) => ({ path: key.slice(child.handle.length + 1), text }));
    if (!url.pathname.endsWith("/tree")) {
      const file = found.find((one) => one.path === path);
      if (file === undefined) return send(response, 404, { error: "no such file", code: "file_not_found" });
      return void response.end(file.text);
    }
    const inside = found.filter((one) => path === "" || one.path.startsWith(`${path}/`));
    if (path !== "" && inside.length === 0) return send(response, 404, { error: "no folder", code: "file_not_found" });
    const entries = inside.map((one) => ({ path: one.path, type: "file", size: Buffer.byteLength(one.text) }));
    send(response, 200, { path, entries, truncated: false });
  }

  #keepalive(request: IncomingMessage, response: ServerResponse, body: { lease_id?: string }): void {
    const lease_id = body.lease_id ?? `lease-${++this.#leaseNumber}`;
    if (request.method === "POST") this.leases.add(lease_id);
    else this.leases.delete(lease_id);
    send(response, 200, { lease_id });
  }

  #spawn(response: ServerResponse, body: SpawnInstance): void {
    const { refusal } = this;
    this.refusal = null;
    if (refusal !== null) return send(response, refusal.status, refusal.body);
    this.spawned.push(body);
    const number = this.spawned.length;
    const endpoints = (body.exposes ?? []).map((expose, at) => {
      const guest_port = typeof expose === "number" ? expose : expose.port;
      const public_port = 20_000 + number * 10 + at;
      return { guest_port, public_port, protocol: "http", url: `http://127.0.0.1:${public_port}` };
    });
    const child: Child = {
      id: `inst-${number}`,
      handle: body.handle ?? `inst-${number}`,
      state: "running",
      last_active_at: new Date(number).toISOString(),
      failure: null,
      exit_code: null,
      memory_mb: body.memory_mb ?? 512,
      endpoints,
      stats: null,
      lifetime_s: body.lifetime_s ?? null,
      expires_at: null,
      bindings: (body.bindings ?? []).map((name) => ({
        name,
        usage: { requests: 0, input_tokens: 0, output_tokens: 0 },
      })),
    };
    this.children.push(child);
    send(response, 201, child);
  }

  #sendLogs(response: ServerResponse, child: Child, url: URL): void {
    const since = url.searchParams.get("since") ?? "";
    const lines = (this.#logs.get(child.id) ?? []).filter((line) => line.ts >= since);
    response.writeHead(200);
    response.flushHeaders();
    for (const line of lines.slice(-Number(url.searchParams.get("tail") ?? lines.length)))
      response.write(`${JSON.stringify(line)}\n`);
    if (url.searchParams.get("follow") !== "true") return void response.end();
    const followers = this.#followers.get(child.id) ?? new Set();
    this.#followers.set(child.id, followers.add(response));
    response.once("close", () => followers.delete(response));
  }

  #exec(response: ServerResponse, child: Child): void {
    if (child.state === "stopped")
      return send(response, 409, { error: `${child.handle} is stopped`, code: "wrong_state" });
    const ts = new Date().toISOString();
    const lines = [
      { exec_id: "e", started_at: ts },
      { exec_id: "e", stream: "stdout", line: "hi", ts },
      { exec_id: "e", exit_code: 0, done: true },
    ];
    response.end(lines.map((line) => JSON.stringify(line)).join("\n"));
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
