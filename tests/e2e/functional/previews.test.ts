import { once } from "node:events";
import http from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Aegis, startAegis } from "../aegis-fixture.ts";

const WEB = ["httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/www"];

describe("preview links", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());

  const web = (handle: string) =>
    aegis.boot({ handle, command: WEB, exposes: [8080], pause_after_idle_s: null, stop_after_paused_s: null });

  /** As a browser does that resolves every name below localhost to this machine. */
  async function open(url: string): Promise<{ status: number; text: string }> {
    const { router_port: port } = await aegis.client.status();
    const { host, pathname } = new URL(url);
    const request = http.get({
      host: "127.0.0.1",
      port,
      path: pathname,
      agent: false,
      headers: { host, accept: "text/html" },
    });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
  }

  const untilShown = (url: string) =>
    expect.poll(() => open(url)).toEqual({ status: 200, text: "hello from inside\n" });

  it("wake a site from a pause and from a stop, outlive the daemon, and end with the instance", async () => {
    const { id } = await web("shown");
    const { url } = await aegis.client.previews.create("shown");
    await untilShown(url);
    await aegis.client.instances.pause(id);
    await untilShown(url);
    await aegis.client.instances.stop(id);
    await untilShown(url);
    await aegis.restart();
    const [kept] = await aegis.client.previews.list("shown");
    // the router may have got another port
    expect(new URL(kept?.url ?? "").hostname).toBe(new URL(url).hostname);
    await untilShown(url);
    await aegis.client.instances.delete(id);
    expect(await open(url)).toMatchObject({ status: 410 });
  });

  it("are made by a parent for its child's site, and by an instance for its own", async () => {
    const { id } = await aegis.boot({
      handle: "maker",
      command: WEB,
      exposes: [8080],
      pause_after_idle_s: null,
      capabilities: {},
    });
    const body = JSON.stringify({ ttl_s: 60 });
    const post = `POST /v1/self/previews HTTP/1.0\\r\\nContent-Type: application/json\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n`;
    const said = await aegis.sh(id, `printf '${post}${body}' | nc 127.0.0.1 7777`);
    expect(said).toMatch(/^HTTP\/1\.1 201/);
    const made = JSON.parse(said.slice(said.indexOf("{"))) as { url: string };
    await untilShown(made.url);
    expect(await aegis.client.previews.list("maker")).toMatchObject([{ guest_port: 8080, url: made.url }]);
    const strange = await aegis.sh(
      id,
      "printf 'GET /v1/instances/shown/previews HTTP/1.0\\r\\n\\r\\n' | nc 127.0.0.1 7777",
    );
    expect(strange).toMatch(/^HTTP\/1\.1 404/);
  });

  it("need a port that is exposed", async () => {
    await aegis.boot({ handle: "closed", command: ["sleep", "1000"] });
    await expect(aegis.client.previews.create("closed")).rejects.toMatchObject({ code: "endpoint_not_found" });
    await aegis.client.instances.expose("closed", { port: 9000, protocol: "tcp" });
    await expect(aegis.client.previews.create("closed", { port: 9000 })).rejects.toMatchObject({
      code: "endpoint_not_found",
    });
  });
});
