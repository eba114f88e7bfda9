import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../temporary-folder.ts";
import { echo, listening, proxyFixture, upstreamDouble } from "./proxy-fixture.ts";

/** At this address tests open no ports: at the usual one others that run beside this one may open any. */
const NOBODY = "http://127.0.0.2:1";
const withKey = { headers: { Authorization: "Bearer ${secret:KEY}" } };
const tcp = async (onConnection: (socket: net.Socket) => void) =>
  `http://127.0.0.1:${await listening(net.createServer(onConnection))}`;

describe("an upstream", () => {
  it("whose name nobody knows is a bad gateway", async () => {
    const { call, usage } = await proxyFixture({ upstream: "http://nowhere.invalid", ...withKey });
    const { status, text, headers } = await call("/");
    expect(status).toBe(502);
    expect(text).toMatch(/ENOTFOUND|EAI_AGAIN/);
    expect(headers["x-aegis-binding"]).toBe("api");
    expect(usage()).toMatchObject({ requests: 1, errors: 1, refused: 0 });
  });

  it("that refuses connections is a bad gateway, also for a large body", async () => {
    const { call } = await proxyFixture({ upstream: NOBODY, ...withKey });
    const { status, text } = await call("/", { method: "POST", body: Buffer.alloc(4 * 1024 * 1024) });
    expect(status).toBe(502);
    expect(text).toContain("ECONNREFUSED");
    expect(text).not.toContain("the-secret-key");
  });

  it("that accepts and never answers is a gateway timeout", async () => {
    const { call } = await proxyFixture({ upstream: await tcp((socket) => socket.resume()), idle_timeout_s: 0.3 });
    const { status, text } = await call("/", { method: "POST", body: "x" });
    expect(status).toBe(504);
    expect(text).toContain("0.3 s");
  });

  it("that never completes the TLS handshake is a gateway timeout", async () => {
    const port = await listening(net.createServer((socket) => socket.resume()));
    const { call } = await proxyFixture({ upstream: `https://127.0.0.1:${port}`, connect_timeout_s: 0.3 });
    expect((await call("/")).status).toBe(504);
  });

  it("whose certificate nobody vouches for is a bad gateway, and does not get the key", async () => {
    const folder = temporaryFolder();
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject],
      {
        stdio: "ignore",
      },
    );
    let asked = 0;
    const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, () => asked++);
    const { call } = await proxyFixture({ upstream: `https://127.0.0.1:${await listening(server)}`, ...withKey });
    const { status, text } = await call("/");
    expect(status).toBe(502);
    expect(text).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT/);
    expect(asked).toBe(0);
  });

  it("that speaks no HTTP is a bad gateway", async () => {
    const { call } = await proxyFixture({ upstream: await tcp((socket) => socket.end("SSH-2.0-server\r\n")) });
    expect((await call("/")).status).toBe(502);
  });

  it("that changes the protocol unasked is a bad gateway, and takes no room from others", async () => {
    const upstream = await tcp((socket) =>
      socket.once("data", () =>
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
      ),
    );
    const { call } = await proxyFixture({ upstream, limits: { parallel: 1 } });
    for (let i = 0; i < 3; i++) expect((await call("/")).status).toBe(502);
  });

  it("that resets the connection before it answers is a bad gateway", async () => {
    const { call } = await proxyFixture({
      upstream: await tcp((socket) => socket.once("data", () => socket.resetAndDestroy())),
    });
    const { status, text } = await call("/", { method: "POST", body: "x" });
    expect(status).toBe(502);
    expect(text).toContain("ECONNRESET");
  });

  it.each(["resetAndDestroy", "end"] as const)(
    "that breaks off half-way (%s) leaves half an answer, not a whole one",
    async (how) => {
      const upstream = await tcp((socket) =>
        socket.once("data", () => {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
          setTimeout(() => socket[how](), 50);
        }),
      );
      const { port, usage } = await proxyFixture({ upstream });
      const request = http.get({ host: "127.0.0.1", port });
      const [answer] = (await once(request, "response")) as [http.IncomingMessage];
      let got = "";
      answer.on("data", (chunk: Buffer) => (got += chunk.toString()));
      await expect(once(answer, "end")).rejects.toMatchObject({ code: "ECONNRESET" });
      expect(got).toBe("half");
      expect(usage()).toMatchObject({ errors: 1 });
    },
  );

  it("that goes silent half-way is cut off, a slow one is not", async () => {
    const upstream = await upstreamDouble((request, response) => {
      response.write("begun ");
      if (request.url === "/dead") return;
      let left = 15;
      const timer = setInterval(() => {
        response.write("more ");
        if (--left > 0) return;
        clearInterval(timer);
        response.end("done");
      }, 100);
    });
    const { call } = await proxyFixture({ upstream, idle_timeout_s: 1 });
    expect((await call("/slow")).text).toMatch(/done$/);
    await expect(call("/dead")).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("may answer before it has got all of the body", async () => {
    const upstream = await tcp((socket) =>
      socket.once("data", () =>
        socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch"),
      ),
    );
    const { call } = await proxyFixture({ upstream });
    expect(await call("/", { method: "POST", body: Buffer.alloc(8 * 1024 * 1024) })).toMatchObject({
      status: 413,
      text: "much",
    });
  });

  it("is told when the caller has gone, in the middle of a body or of an answer", async () => {
    const closed = { "/up": Promise.withResolvers<void>(), "/down": Promise.withResolvers<void>() };
    const begun = { "/up": Promise.withResolvers<void>(), "/down": Promise.withResolvers<void>() };
    const upstream = await upstreamDouble((request, response) => {
      const path = request.url === "/up" ? "/up" : "/down";
      begun[path].resolve();
      request.on("error", () => undefined);
      response.once("close", () => closed[path].resolve());
      if (path === "/down") response.write("x");
      request.resume();
    });
    const { port, held } = await proxyFixture({ upstream });
    for (const path of ["/up", "/down"] as const) {
      const socket = net.connect(port, "127.0.0.1");
      socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345`);
      await begun[path].promise;
      socket.destroy();
      await closed[path].promise;
    }
    await expect.poll(held).toBe(0);
  });
});

describe("a secret", () => {
  it("that is gone is named, and not what it was", async () => {
    const { call, secrets, audited, usage } = await proxyFixture({ upstream: await upstreamDouble(echo), ...withKey });
    expect((await call("/")).status).toBe(200);
    secrets.delete("KEY");
    const { status, text } = await call("/");
    expect(status).toBe(503);
    expect(text).toContain("secret KEY");
    expect(text).not.toContain("the-secret-key");
    secrets.set("KEY", "line\nbreak");
    const broken = await call("/");
    expect(broken).toMatchObject({ status: 503 });
    expect(broken.text).not.toContain('break"');
    expect(usage()).toMatchObject({ requests: 1, refused: 2 });
    expect(audited.map(({ action, decision, target }) => [action, decision, target])).toEqual([
      ["secret.use", "allowed", "KEY"],
      ["secret.use", "failed", "api"],
      ["secret.use", "failed", "api"],
    ]);
  });

  it("is audited when it is used first, and when it is another one", async () => {
    const { call, secrets, audited } = await proxyFixture({ upstream: await upstreamDouble(echo), ...withKey });
    for (let i = 0; i < 3; i++) await call("/");
    secrets.set("KEY", "rotated");
    for (let i = 0; i < 3; i++) await call("/");
    expect(audited).toHaveLength(2);
    expect(JSON.stringify(audited)).not.toMatch(/the-secret-key|rotated/);
  });
});
