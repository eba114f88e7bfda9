import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ErrorBody } from "@aegis/protocol/errors";
import type { LogLine, SpawnInstance } from "@aegis/protocol/instance";
import { onTestFinished } from "vitest";
import { GuestApi } from "../../guest/plugin/guest-api.ts";

interface Child {
  id: string;
  handle: string;
  state: string;
  failure: string | null;
  exit_code: number | null;
  memory_mb: number;
  endpoints: { guest_port: number; public_port: number; protocol: string; url: string }[];
  stats: null;
}

/** A Guest API whose instances do what the test says. */
export class GuestApiDouble {
  readonly spawned: SpawnInstance[] = [];
  readonly children: Child[] = [];
  readonly calls: string[] = [];
  readonly leases = new Set<string>();
  /** the next spawn is refused with it */
  refusal: { status: number; body: ErrorBody } | null = null;
  readonly #logs = new Map<string, LogLine[]>();
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
    const body: unknown = text === "" ? {} : JSON.parse(text);
    const url = new URL(request.url ?? "/", "http://double");
    this.calls.push(`${request.method} ${url.pathname}`);
    const [, , collection, id = "", verb] = url.pathname.split("/");
    if (collection === "self") return this.#keepalive(request, response, body as { lease_id?: string });
    if (id === "")
      return request.method === "POST"
        ? this.#spawn(response, body as SpawnInstance)
        : send(response, 200, this.children);
    const child = this.children.find((one) => one.id === id);
    if (child === undefined) return send(response, 404, { error: `no instance ${id}`, code: "instance_not_found" });
    if (verb === "logs") return this.#sendLogs(response, child, url);
    if (verb === "exec") return this.#exec(response, child);
    if (verb === "stop") child.state = "stopped";
    if (verb === "start") child.state = "running";
    send(response, 200, child);
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
      failure: null,
      exit_code: null,
      memory_mb: body.memory_mb ?? 512,
      endpoints,
      stats: null,
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
