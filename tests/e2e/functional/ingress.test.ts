import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { freePort } from "../registry.ts";

/** listens on the instance's own loopback alone */
const WEB = ["httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/www"];
const AWAKE = { pause_after_idle_s: null };

describe("ingress", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());
  afterEach(() => aegis.deleteAll());

  const bootWeb = async (handle: string, more: object = {}) => {
    const { id, endpoints } = await aegis.boot({ handle, command: WEB, exposes: [8080], ...more });
    return { id, url: String(endpoints[0]?.url), port: Number(endpoints[0]?.public_port) };
  };

  describe("a public port", () => {
    it("leads to a server that listens on the instance's loopback only", async () => {
      const { url } = await bootWeb("web");
      expect(await get(url)).toMatchObject({ status: 200, body: "hello from inside\n" });
      expect(await get(`${url}/cgi-bin/handle`)).toMatchObject({ body: "web\n" });
    });

    it("waits for a server that still starts, right after the create", async () => {
      const { endpoints } = await aegis.client.instances.create({
        command: ["sh", "-c", "sleep 0.3; exec httpd -f -p 8080 -h /www"],
        exposes: [8080],
      });
      expect(await get(String(endpoints[0]?.url))).toMatchObject({ status: 200 });
    });

    it("wakes from a pause and boots from a stop, with one boot for many connections", async () => {
      const { id, url } = await bootWeb("web");
      await aegis.client.instances.pause(id);
      expect(await get(url)).toMatchObject({ status: 200 });
      await aegis.client.instances.stop(id);
      const answers = await Promise.all(Array.from({ length: 20 }, () => get(url)));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      const boots = (await aegis.logs(id)).filter(({ line }) => line.startsWith("process exited"));
      expect(boots.length).toBe(1);
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
    });

    it("wakes what fell asleep by itself, again and again", async () => {
      const { id, url } = await bootWeb("web", { pause_after_idle_s: 0.1, stop_after_paused_s: null });
      for (let round = 0; round < 5; round++) {
        await aegis.reaches(id, "paused");
        expect(await get(url)).toMatchObject({ status: 200 });
      }
    });

    it("outlives pause, stop, restart and a daemon restart", async () => {
      const { id, url, port } = await bootWeb("web");
      await aegis.client.instances.pause(id);
      await aegis.restart();
      expect((await aegis.client.instances.get(id)).endpoints).toMatchObject([{ public_port: port }]);
      expect(await get(url)).toMatchObject({ status: 200, body: "hello from inside\n" });
      await aegis.client.instances.stop(id);
      await aegis.restart();
      expect(await get(url)).toMatchObject({ status: 200, body: "hello from inside\n" });
      await aegis.client.instances.restart(id);
      expect(await get(url)).toMatchObject({ status: 200, body: "hello from inside\n" });
    });

    it("can be opened and closed at any time, is the one asked for, and is asked for twice in vain", async () => {
      const { id } = await aegis.boot({ command: WEB });
      const { instances } = aegis.client;
      const wanted = await freePort();
      const endpoint = await instances.expose(id, { port: 8080, public_port: wanted });
      expect(endpoint).toEqual({
        guest_port: 8080,
        public_port: wanted,
        protocol: "http",
        url: `http://127.0.0.1:${wanted}`,
      });
      expect(await instances.expose(id, { port: 8080 })).toEqual(endpoint);
      await expect(instances.expose(id, { port: 8080, public_port: wanted + 1 })).rejects.toMatchObject({
        code: "port_taken",
      });
      expect(await get(endpoint.url)).toMatchObject({ status: 200 });
      await instances.unexpose(id, 8080);
      await expect(get(endpoint.url)).rejects.toMatchObject({ code: "ECONNREFUSED" });
      await expect(instances.unexpose(id, 8080)).rejects.toMatchObject({ code: "endpoint_not_found" });
    });

    it("that another program has is refused, and the instance is not made", async () => {
      const other = createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      const { port } = other.address() as AddressInfo;
      const spec = { command: WEB, exposes: [{ port: 8080, public_port: port }] };
      await expect(aegis.client.instances.create(spec)).rejects.toMatchObject({
        code: "port_taken",
        message: expect.stringContaining(String(port)),
      });
      expect(await aegis.client.instances.list()).toEqual([]);
      other.close();
    });

    it("closes with its instance", async () => {
      const { id, url } = await bootWeb("web");
      await aegis.client.instances.delete(id);
      await expect(get(url)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    });

    it("says why nobody answers, in a page with Retry-After", async () => {
      const { id, url } = await bootWeb("web");
      await aegis.client.instances.disable(id);
      const answer = await get(url);
      expect(answer).toMatchObject({ status: 503, body: expect.stringContaining("web is stopped and disabled") });
      expect(answer.headers["retry-after"]).toBe("3");
      await aegis.client.instances.start(id);
      expect(await get(url)).toMatchObject({ status: 200 });
    });

    it("carries plain TCP, each direction to its own end", async () => {
      const { endpoints } = await aegis.boot({
        command: ["nc", "-ll", "-p", "9000", "-e", "/bin/cat"],
        exposes: [{ port: 9000, protocol: "tcp" }],
      });
      expect(endpoints[0]?.url).toMatch(/^tcp:/);
      const socket = await dial(Number(endpoints[0]?.public_port));
      const bytes = Buffer.alloc(2_000_000, "0123456789");
      socket.end(bytes);
      expect((await text(socket)).length).toBe(bytes.length);
    });

    it("keeps the instance awake while a connection is open, and wakes it for data on one", async () => {
      const { id, endpoints } = await aegis.boot({
        command: ["nc", "-ll", "-p", "9000", "-e", "/bin/cat"],
        exposes: [{ port: 9000, protocol: "tcp" }],
        pause_after_idle_s: 0.2,
        stop_after_paused_s: null,
      });
      const socket = await dial(Number(endpoints[0]?.public_port));
      expect(await echo(socket, "one")).toBe("one");
      const { id: other } = await aegis.boot({ command: ["sleep", "infinity"], pause_after_idle_s: 0.4 });
      await aegis.reaches(other, "paused");
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running", active_connections: 1 });
      await aegis.client.instances.pause(id);
      expect(await echo(socket, "two")).toBe("two");
      expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
      socket.destroy();
      await aegis.reaches(id, "paused");
      expect(await aegis.client.instances.get(id)).toMatchObject({ active_connections: 0 });
    });
  });

  describe("the HTTP router", () => {
    let router: string;
    const route = (path: string, headers: Record<string, string> = {}) => get(`${router}${path}`, headers);
    // the daemon may have been restarted since
    beforeEach(async () => {
      router = `http://127.0.0.1:${(await aegis.client.status()).router_port}`;
    });

    it("finds the only instance, one by header, and one by its name under localhost", async () => {
      const first = await bootWeb("first", AWAKE);
      expect(await route("/")).toMatchObject({ status: 200, body: "hello from inside\n" });
      await bootWeb("second", AWAKE);
      const path = "/cgi-bin/handle";
      for (const [headers, handle] of [
        [{ "x-aegis-instance": "second" }, "second"],
        [{ "x-aegis-instance": first.id }, "first"],
        [{ host: "first.localhost" }, "first"],
        [{ host: `second.localhost:${new URL(router).port}` }, "second"],
      ] as const)
        expect(await route(path, headers)).toMatchObject({ status: 200, body: `${handle}\n` });
    });

    it("asks which one is meant, and does not know strangers", async () => {
      await Promise.all([bootWeb("first"), bootWeb("second")]);
      expect(await route("/")).toMatchObject({ status: 404, body: expect.stringContaining("X-Aegis-Instance") });
      expect(await route("/", { host: "third.localhost" })).toMatchObject({
        status: 404,
        body: expect.stringContaining("third"),
      });
    });

    it("answers no page whose name was made to lead here", async () => {
      await bootWeb("web", AWAKE);
      for (const named of [{}, { "x-aegis-instance": "web" }])
        expect(await route("/", { host: "evil.example", ...named })).toMatchObject({ status: 403 });
    });

    it("wakes from a pause and boots from a stop", async () => {
      const { id } = await bootWeb("web");
      await aegis.client.instances.pause(id);
      expect(await route("/")).toMatchObject({ status: 200 });
      await aegis.client.instances.stop(id);
      expect(await route("/")).toMatchObject({ status: 200 });
    });

    it("answers 404 where there is no HTTP port, and 503 where nobody can be reached", async () => {
      const { id } = await aegis.boot({
        handle: "plain",
        command: ["sleep", "infinity"],
        exposes: [{ port: 80, protocol: "tcp" }],
      });
      expect(await route("/")).toMatchObject({
        status: 404,
        body: expect.stringContaining("plain exposes no HTTP port"),
      });
      await aegis.client.instances.delete(id);
      const broken = await aegis.boot({ handle: "broken", command: ["no-such-program"], exposes: [80] });
      expect(broken.state).toBe("failed");
      const answer = await route("/");
      expect(answer).toMatchObject({ status: 503, body: expect.stringContaining("no-such-program") });
      expect(answer.headers["retry-after"]).toBe("3");
    });

    it("carries WebSockets", async () => {
      const { id, endpoints } = await aegis.boot({
        handle: "ws",
        command: ["nc", "-ll", "-p", "8081", "-e", "/bin/ws-server"],
        exposes: [8081],
      });
      await aegis.client.instances.pause(id);
      for (const [url, headers] of [
        [router, { host: "ws.localhost" }],
        [String(endpoints[0]?.url), {}],
      ] as const) {
        const socket = new WebSocket(`${url.replace("http", "ws")}/chat`, { headers });
        const messages: string[] = [];
        socket.on("message", (data: Buffer) => {
          messages.push(data.toString());
          if (messages.length === 1) socket.send("ping");
        });
        const closed = once(socket, "close");
        socket.on("error", () => undefined);
        await closed;
        expect(messages).toEqual(["hello", "got it"]);
      }
    });

    it("passes bodies and headers on, and not its own", async () => {
      const script = `#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'; env | grep ^HTTP_; wc -c`;
      await bootWeb("web", {
        command: [
          "sh",
          "-c",
          `printf '%s' "$CGI" > /www/cgi-bin/env; chmod +x /www/cgi-bin/env; exec ${WEB.join(" ")}`,
        ],
        env: { CGI: script },
      });
      const { body } = await send(
        `${router}/cgi-bin/env`,
        { method: "POST", headers: { "x-aegis-instance": "web", "user-agent": "me" } },
        "y".repeat(100_000),
      );
      expect(body).toContain("100000");
      expect(body).toContain("HTTP_USER_AGENT=me");
      expect(body).not.toContain("AEGIS");
    });
  });
});

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

const get = (url: string, headers: Record<string, string> = {}): Promise<Answer> => send(url, { headers });

function send(
  url: string,
  options: { method?: string; headers: Record<string, string> },
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { ...options, agent: false }, (answer) => {
      text(answer).then(
        (said) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: said }),
        reject,
      );
    });
    request.on("error", reject).end(body);
  });
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

async function echo(socket: Socket, words: string): Promise<string> {
  socket.write(words);
  const [data] = (await once(socket, "data")) as [Buffer];
  return data.toString();
}
