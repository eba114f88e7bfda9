import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { type Aegis, startAegis } from "../aegis-fixture.ts";

const KEY = "sk-very-secret-0123456789";

/** A provider with its moods, by path. */
const moods: Record<string, http.RequestListener> = {
  "/denied": (_request, response) => void response.writeHead(401).end('{"error":{"code":"invalid_api_key"}}'),
  "/slow-down": (_request, response) => void response.writeHead(429, { "retry-after": "13" }).end("slow down"),
  "/overloaded": (_request, response) => void response.writeHead(529).end("overloaded"),
  "/elsewhere": (_request, response) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  "/dead": () => undefined,
  "/reset": (request) => void request.socket.destroy(),
  "/half": (request, response) => {
    response.writeHead(200, { "content-length": "100" }).write("half");
    setTimeout(() => request.socket.destroy(), 100);
  },
  "/slow": (_request, response) => {
    response.writeHead(200).flushHeaders();
    let left = 10;
    const timer = setInterval(() => {
      response.write(`${left} `);
      if (--left > 0) return;
      clearInterval(timer);
      response.end("done");
    }, 250);
  },
};

/** Run inside: asks for each URL and says how it went. */
const ASK = `
for (const url of process.argv.slice(1)) {
  try {
    const answer = await fetch(url, { redirect: "manual" });
    const { status, headers } = answer;
    const said = { status, retry: headers.get("retry-after"), location: headers.get("location"), by: headers.get("x-aegis-binding") };
    console.log(JSON.stringify({ ...said, text: await answer.text().catch(() => "broken off") }));
  } catch (error) {
    console.log(JSON.stringify({ failed: String(error) }));
  }
}`;
/** Run inside: one WebSocket that says hello. */
const TALK = `
const socket = new WebSocket(process.argv[1]);
socket.onmessage = ({ data }) => {
  console.log(data);
  if (data.startsWith("key")) socket.send("hello from inside");
  else socket.close();
};
socket.onerror = () => console.log("refused");`;

interface Said {
  status: number;
  retry: string | null;
  location: string | null;
  by: string | null;
  text: string;
}

describe("an instance whose provider", () => {
  let aegis: Aegis;
  let provider: http.Server;
  let box: string;
  beforeAll(async () => {
    provider = http.createServer((request, response) => moods[request.url ?? ""]?.(request, response));
    new WebSocketServer({ server: provider }).on("connection", (socket, { headers }) => {
      socket.send(`key ${headers.authorization === `Bearer ${KEY}` ? "good" : "bad"}`);
      socket.on("message", (data: Buffer) => socket.send(`heard: ${data.toString()}`));
    });
    provider.listen(0, "127.0.0.1");
    await once(provider, "listening");
    const upstream = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
    const headers = { Authorization: "Bearer ${secret:LLM_KEY}" };
    aegis = await startAegis({ images: ["node"] });
    await aegis.client.secrets.put("LLM_KEY", KEY);
    const { id } = await aegis.boot({
      command: ["node", "-e", "setInterval(() => 0, 1e6)"],
      pause_after_idle_s: null,
      bindings: [
        { name: "api", port: 8001, upstream, headers, idle_timeout_s: 2 },
        { name: "nowhere", port: 8002, upstream: "https://nowhere.invalid", headers },
        { name: "gone", port: 8003, upstream: "http://127.0.0.1:1", headers },
        { name: "plain", port: 8004, upstream: upstream.replace("http:", "https:"), headers },
      ],
    });
    box = id;
  });
  afterAll(async () => {
    provider.closeAllConnections();
    provider.close();
    await aegis.stop();
  });

  const run = async (script: string, ...words: string[]): Promise<string[]> => {
    const { stdout } = await aegis.exec(box, ["node", "--input-type=module", "-e", script, ...words]);
    return stdout.split("\n");
  };
  const ask = async (...urls: string[]): Promise<Said[]> =>
    (await run(ASK, ...urls)).map((line) => JSON.parse(line) as Said);
  const at = (path: string, port = 8001) => `http://127.0.0.1:${port}${path}`;

  it("refuses, is overloaded or sends it elsewhere hears that from the provider", async () => {
    const said = await ask(at("/denied"), at("/slow-down"), at("/overloaded"), at("/elsewhere"));
    expect(said).toMatchObject([
      { status: 401, text: '{"error":{"code":"invalid_api_key"}}' },
      { status: 429, retry: "13", text: "slow down" },
      { status: 529 },
      { status: 302, location: "http://127.0.0.1:1/" },
    ]);
    expect(said.map(({ by }) => by)).toEqual([null, null, null, null]);
  });

  it("is unknown, away or speaks something else gets a bad gateway, with the reason and without the key", async () => {
    const said = await ask(at("/", 8002), at("/", 8003), at("/", 8004), at("/reset"));
    expect(said.map(({ status, by }) => [status, by])).toEqual([
      [502, "nowhere"],
      [502, "gone"],
      [502, "plain"],
      [502, "api"],
    ]);
    expect(said[0]?.text).toMatch(/ENOTFOUND|EAI_AGAIN/);
    expect(said[1]?.text).toContain("ECONNREFUSED");
    expect(JSON.stringify(said)).not.toContain("very-secret");
  });

  it("never answers gets a gateway timeout; one that is only slow is waited for", async () => {
    expect(await ask(at("/dead"), at("/slow"))).toMatchObject([
      { status: 504, by: "api" },
      { status: 200, text: "10 9 8 7 6 5 4 3 2 1 done" },
    ]);
  });

  it("breaks off half-way notices", async () => {
    expect(await ask(at("/half"))).toMatchObject([{ status: 200, text: "broken off" }]);
  });

  it("talks over a WebSocket is known by the key", async () => {
    expect(await run(TALK, "ws://127.0.0.1:8001/v1/realtime")).toEqual(["key good", "heard: hello from inside"]);
    expect(await run(TALK, "ws://127.0.0.1:8003/")).toEqual(["refused"]);
  });

  it("is flooded leaves the daemon as it was", async () => {
    const flood = `
      import net from "node:net";
      const sockets = Array.from({ length: 400 }, () => net.connect(8001, "127.0.0.1").on("error", () => 0).resume());
      for (const socket of sockets) socket.write("GET /dead HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".repeat(200));
      setTimeout(() => process.exit(), 3000);`;
    await run(flood);
    expect((await aegis.client.instances.get(box)).state).toBe("running");
    await expect.poll(async () => (await ask(at("/denied")))[0]?.status).toBe(401);
  });
});
