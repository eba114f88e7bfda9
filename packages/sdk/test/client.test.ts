import { Readable } from "node:stream";
import { AegisError } from "@aegis/protocol/errors";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AegisClient } from "../src/client.ts";
import { FakeDaemon } from "./fake-daemon.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon.close());

const failure = async (call: Promise<unknown>): Promise<AegisError> => {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AegisError);
  return error as AegisError;
};

const all = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
};

describe("calls", () => {
  it("sends method, path, query and body as the API wants them", async () => {
    daemon.routes["POST /v1/instances"] = () => ({ status: 201, body: { id: "inst-1", handle: "web" } });
    daemon.routes["GET /v1/instances"] = () => ({ body: [] });
    daemon.routes["POST /v1/instances/web/expose"] = () => ({ body: { guest_port: 80, public_port: 8080 } });
    daemon.routes["DELETE /v1/instances/web/expose/80"] = () => ({});
    expect(await daemon.client.instances.create({ handle: "web", command: ["true"] })).toMatchObject({ id: "inst-1" });
    await daemon.client.instances.list({ state: "stopped", parentId: "inst-2" });
    await daemon.client.instances.expose("web", { port: 80, public_port: 8080 });
    await daemon.client.instances.unexpose("web", 80);
    expect(daemon.calls).toEqual([
      { method: "POST", path: "/v1/instances", query: {}, body: { handle: "web", command: ["true"] } },
      { method: "GET", path: "/v1/instances", query: { state: "stopped", parent_id: "inst-2" }, body: undefined },
      { method: "POST", path: "/v1/instances/web/expose", query: {}, body: { port: 80, public_port: 8080 } },
      { method: "DELETE", path: "/v1/instances/web/expose/80", query: {}, body: undefined },
    ]);
  });

  it("stops an upload that is refused, and says why", async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(64 * 1024);
    }
    const upload = Readable.from(endless());
    const error = await failure(daemon.client.files.write("nobody", "x", upload));
    expect(error).toMatchObject({ code: "not_found", message: expect.stringContaining("no /v1/instances/nobody") });
    await expect.poll(() => upload.destroyed).toBe(true);
  });

  it.each(["start", "stop", "restart", "disable", "pause", "hibernate", "resume"] as const)(
    "posts %s",
    async (verb) => {
      daemon.routes[`POST /v1/instances/a b/${verb}`] = () => ({ body: {} });
      await daemon.client.instances[verb]("a b");
      expect(daemon.calls).toHaveLength(1);
    },
  );

  it("names images whose references have slashes", async () => {
    daemon.routes["DELETE /v1/images/reg:5000/a/b@sha256:00"] = () => ({});
    await daemon.client.images.delete("reg:5000/a/b@sha256:00");
    expect(daemon.calls[0]?.path).toBe("/v1/images/reg:5000/a/b@sha256:00");
  });

  it("lists secrets by name only", async () => {
    daemon.routes["GET /v1/secrets"] = () => ({ body: [{ name: "A" }, { name: "B" }] });
    expect(await daemon.client.secrets.list()).toEqual(["A", "B"]);
  });
});

describe("failures", () => {
  it("throws the daemon's own text and code", async () => {
    const body = { error: "There is no instance x.", code: "instance_not_found" };
    daemon.routes["GET /v1/instances/x"] = () => ({ status: 404, body });
    const error = await failure(daemon.client.instances.get("x"));
    expect(error.toBody()).toEqual(body);
  });

  it("says what to do when no daemon runs", async () => {
    const gone = new AegisClient({ socketPath: "/nowhere/aegisd.sock" });
    const error = await failure(gone.status());
    expect(error.code).toBe("unavailable");
    expect(error.message).toBe("aegisd is not running at /nowhere/aegisd.sock: start it with `aegis up`");
  });

  it("survives an answer that is not the daemon's", async () => {
    daemon.routes["GET /v1/status"] = () => ({ write: (response) => response.writeHead(502).end("<html>") });
    expect((await failure(daemon.client.status())).code).toBe("internal");
  });

  it("reports a stream that breaks, and one that ends with an error", async () => {
    daemon.routes["GET /v1/instances/a/logs"] = () => ({
      write: (response) => {
        response.writeHead(200);
        response.write('{"line":"one"}\n', () => response.destroy());
      },
    });
    daemon.routes["GET /v1/instances/b/logs"] = () => ({
      lines: [{ line: "one" }, { error: "gone", code: "instance_deleted", done: true }],
    });
    expect((await failure(all(daemon.client.instances.logs("a")))).code).toBe("unavailable");
    expect((await failure(all(daemon.client.instances.logs("b")))).toBody()).toEqual({
      error: "gone",
      code: "instance_deleted",
    });
  });

  it("reports a pull and an exec that end without an end", async () => {
    daemon.routes["POST /v1/images"] = () => ({ lines: [{ phase: "resolve", message: "x" }] });
    daemon.routes["POST /v1/instances/a/exec"] = () => ({ lines: [{ exec_id: "e", started_at: "now" }] });
    expect((await failure(all(daemon.client.images.pull({ ref: "a" })))).code).toBe("unavailable");
    expect((await failure(all(daemon.client.instances.exec("a", { command: ["x"] })))).code).toBe("guest_unreachable");
  });
});

describe("streams", () => {
  it("yields lines as they come and ends with the signal", async () => {
    const stop = new AbortController();
    daemon.routes["GET /v1/instances/a/logs"] = () => ({ lines: [{ line: "ä" }, { line: "two" }], open: true });
    const seen: string[] = [];
    const following = (async () => {
      for await (const { line } of daemon.client.instances.logs("a", { follow: true, tail: 2, signal: stop.signal })) {
        seen.push(line);
        if (seen.length === 2) stop.abort();
      }
    })();
    await expect(following).rejects.toThrow(/abort/);
    expect(seen).toEqual(["ä", "two"]);
    expect(daemon.calls[0]?.query).toEqual({ follow: "true", tail: "2" });
  });

  it("closes the connection when the loop is left", async () => {
    const closed = Promise.withResolvers<void>();
    daemon.routes["GET /v1/events"] = () => ({
      write: (response) => {
        response.once("close", closed.resolve);
        response.writeHead(200);
        response.write('{"seq":1}\n');
      },
    });
    for await (const event of daemon.client.events()) {
      expect(event.seq).toBe(1);
      break;
    }
    await closed.promise;
  });
});
