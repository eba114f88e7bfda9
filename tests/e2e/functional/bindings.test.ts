import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { IMAGES } from "../fixture-images.ts";
import { guestCall } from "../guest-call.ts";

const KEY = "sk-very-secret-0123456789";

describe("bindings", () => {
  let aegis: Aegis;
  let box: string;
  let upstream: http.Server;
  let answer: (request: http.IncomingMessage, response: http.ServerResponse) => void;
  beforeAll(async () => {
    upstream = http.createServer((request, response) => answer(request, response)).listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
    aegis = await startAegis();
    await aegis.client.secrets.put("LLM_KEY", KEY);
    const { id } = await aegis.boot({
      command: ["sleep", "infinity"],
      pause_after_idle_s: null,
      capabilities: {
        spawn: true,
        spawn_depth: 1,
        max_children: 2,
        allowed_images: ["*"],
        max_memory_mb: 64,
        max_vcpus: 1,
        allowed_network: ["*"],
        allowed_bindings: ["llm"],
      },
      bindings: [
        {
          name: "llm",
          port: 8001,
          upstream: `${url}/base/`,
          headers: { Authorization: "Bearer ${secret:LLM_KEY}", "X-Fixed": "yes" },
        },
        { name: "dead", port: 8002, upstream: "http://127.0.0.1:1" },
      ],
    });
    box = id;
  });
  afterAll(async () => {
    upstream.closeAllConnections();
    upstream.close();
    await aegis.stop();
  });
  beforeEach(() => {
    answer = (request, response) => {
      void text(request).then((body) =>
        response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body })),
      );
    };
  });

  const wget = async (options: string, id = box) =>
    JSON.parse(await aegis.sh(id, `wget -q -O - ${options}`)) as {
      method: string;
      url: string;
      headers: Record<string, string>;
      body: string;
    };

  it("reach a service of the host's with the key that the instance has not got", async () => {
    const seen = await wget(
      "--header 'Authorization: Bearer mine' --post-data 'a body' 'http://127.0.0.1:8001/v1/x?y=1'",
    );
    expect(seen).toMatchObject({ method: "POST", url: "/base/v1/x?y=1", body: "a body" });
    expect(seen.headers).toMatchObject({ authorization: `Bearer ${KEY}`, "x-fixed": "yes" });
    expect(seen.headers["host"]).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it("answer every one of many calls", async () => {
    const script =
      "i=0; while [ $i -lt 50 ]; do wget -q -O /dev/null http://127.0.0.1:8001/ || exit 1; i=$((i+1)); done; echo all";
    expect(await aegis.sh(box, script)).toBe("all");
  });

  it("leave no trace of the key inside, nor in what the API shows", async () => {
    answer = (_request, response) => response.end("{}");
    await wget("http://127.0.0.1:8001/");
    const search = `for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do grep -l very-secre[t] $file; done; grep -rl very-secre[t] /etc /root /run /tmp /var /dev/shm; true`;
    expect(await aegis.sh(box, search)).toBe("");
    const shown = [await aegis.client.instances.get(box), await guestCall(aegis, box, "GET", "/v1/self")];
    expect(JSON.stringify(shown)).not.toContain("very-secret");
    expect(aegis.log()).not.toContain("very-secret");
  });

  it("use the newest value of a secret", async () => {
    await aegis.client.secrets.put("LLM_KEY", `${KEY}-2`);
    expect((await wget("http://127.0.0.1:8001/")).headers["authorization"]).toBe(`Bearer ${KEY}-2`);
    await aegis.client.secrets.put("LLM_KEY", KEY);
  });

  it("stream an answer as it comes", async () => {
    const ready = Promise.withResolvers<http.ServerResponse>();
    answer = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: one\n\n");
      ready.resolve(response);
    };
    const session = await aegis.client.instances.execInteractive(box, {
      command: ["wget", "-q", "-O", "-", "http://127.0.0.1:8001/stream"],
    });
    const output = session.output();
    const next = async () => {
      const { value, done } = await output.next();
      if (done === true || value.kind === "exit") return "";
      return Buffer.from(value.bytes).toString();
    };
    const response = await ready.promise;
    expect(await next()).toBe("data: one\n\n");
    response.write("data: two\n\n");
    expect(await next()).toBe("data: two\n\n");
    response.end("data: three\n\n");
    expect(await next()).toBe("data: three\n\n");
  });

  it("tell the upstream when the caller has gone", async () => {
    const { promise: gone, resolve } = Promise.withResolvers<string>();
    answer = (_request, response) => {
      response.write("waiting");
      response.once("close", () => resolve("gone"));
    };
    const session = await aegis.client.instances.execInteractive(box, {
      // it says nothing of its own: what comes is the answer
      command: ["wget", "-q", "-O", "-", "http://127.0.0.1:8001/"],
    });
    const output = session.output();
    await output.next();
    session.close();
    await expect(gone).resolves.toBe("gone");
  });

  it("carry large bodies both ways", async () => {
    answer = (request, response) => void request.pipe(response);
    const script =
      "head -c 5000000 /dev/zero | tr '\\0' x > /tmp/big; wget -q -O - --post-file /tmp/big http://127.0.0.1:8001/ | wc -c";
    expect(await aegis.sh(box, script)).toBe("5000000");
  });

  it("say that the service is away", async () => {
    const { stdout, stderr, code } = await aegis.exec(box, ["wget", "-O", "-", "http://127.0.0.1:8002/"]);
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("502");
  });

  it("say that a secret is gone, and not which value it had", async () => {
    await aegis.client.secrets.delete("LLM_KEY");
    const { stderr } = await aegis.exec(box, ["wget", "-O", "-", "http://127.0.0.1:8001/"]);
    expect(stderr).toContain("503");
    await aegis.client.secrets.put("LLM_KEY", KEY);
    expect((await wget("http://127.0.0.1:8001/")).headers["authorization"]).toBe(`Bearer ${KEY}`);
  });

  it("are handed to a child by name, as far as allowed", async () => {
    const spawn = (bindings: string[]) =>
      guestCall<{ id: string; code: string }>(aegis, box, "POST", "/v1/instances", {
        command: ["sleep", "infinity"],
        image_ref: IMAGES.busybox,
        memory_mb: 64,
        bindings,
      });
    expect((await spawn(["dead"])).body.code).toBe("capability_refused");
    const child = (await spawn(["llm"])).body.id;
    await aegis.reaches(child, "running");
    expect((await wget("http://127.0.0.1:8001/", child)).headers["authorization"]).toBe(`Bearer ${KEY}`);
    expect((await aegis.exec(child, ["wget", "-O", "-", "http://127.0.0.1:8002/"])).stderr).toContain("refused");
    const plain = (await spawn([])).body.id;
    await aegis.reaches(plain, "running");
    expect((await aegis.exec(plain, ["wget", "-O", "-", "http://127.0.0.1:8001/"])).stderr).toContain("refused");
  });

  it("go on after a pause and a daemon restart", async () => {
    await aegis.client.instances.pause(box);
    expect((await wget("http://127.0.0.1:8001/")).url).toBe("/base/");
    await aegis.restart();
    expect((await wget("http://127.0.0.1:8001/")).headers["authorization"]).toBe(`Bearer ${KEY}`);
  });

  it("of a secret that is not there are refused at the create", async () => {
    const bindings = [{ name: "x", port: 8001, upstream: "http://127.0.0.1:1", headers: { a: "${secret:NOPE}" } }];
    await expect(aegis.client.instances.create({ command: ["true"], bindings })).rejects.toMatchObject({
      code: "secret_not_found",
    });
  });
});
