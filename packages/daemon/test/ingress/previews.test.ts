import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { AegisError } from "@aegis/protocol/errors";
import { type Asked, previewFixture, type PreviewFixture } from "./preview-fixture.ts";

const PASSWORD = "open sesame";
const FORM = { "content-type": "application/x-www-form-urlencoded" };

const enter = (fixture: PreviewFixture, url: string, fields: Record<string, string> = {}, more = {}): Promise<Asked> =>
  fixture.open(new URL(".aegis/enter", url).href, {
    method: "POST",
    headers: { ...FORM, ...more },
    body: new URLSearchParams(fields).toString(),
  });

const cookieOf = (answer: Asked): string => (answer.headers["set-cookie"]?.[0] ?? "").split(";")[0] ?? "";

async function talk(port: number, host: string, path: string, headers: Record<string, string> = {}): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { host, ...headers } });
  onTestFinished(() => socket.terminate());
  await Promise.race([once(socket, "open"), once(socket, "error").then(([error]) => Promise.reject(error as Error))]);
  socket.send("hello");
  const [data] = (await once(socket, "message")) as [Buffer];
  return data.toString();
}

describe("a preview link", () => {
  it("shows the site under a name of its own, and nothing of ours goes in or out", async () => {
    const fixture = await previewFixture();
    const { url } = await fixture.create();
    expect(url).toMatch(/^http:\/\/p-[a-z2-7]{26}\.localhost:\d+\/$/);
    const { host } = new URL(url);
    const answer = await fixture.open(`${url}a?b=1`, {
      headers: { cookie: "theirs=2; aegis_preview_prev-1=x", origin: `http://${host}`, "x-forwarded-host": "evil" },
    });
    expect(answer).toMatchObject({ status: 200, text: "site /a?b=1" });
    expect(answer.headers["set-cookie"]).toEqual(["mine=1; Path=/; HttpOnly"]);
    expect(answer.headers).toMatchObject({ "referrer-policy": "same-origin", "x-robots-tag": "noindex" });
    expect(fixture.seen.at(-1)?.headers).toMatchObject({
      host: "localhost:3000",
      origin: "http://localhost:3000",
      cookie: "theirs=2",
      "x-forwarded-host": host,
      "x-forwarded-proto": "http",
    });
  });

  it("carries WebSockets", async () => {
    const fixture = await previewFixture();
    const { url } = await fixture.create();
    expect(await talk(fixture.port, new URL(url).host, "/ws")).toBe("echo hello");
    expect(fixture.seen.at(-1)?.headers.host).toBe("localhost:3000");
  });

  it("is found by nobody who was not given it", async () => {
    const fixture = await previewFixture("https://*.preview.example.org");
    const { url } = await fixture.create();
    const { host } = new URL(url);
    expect(host).toMatch(/^p-[a-z2-7]{26}\.preview\.example\.org$/);
    expect(await fixture.open(url)).toMatchObject({ status: 200 });
    const other = `https://p-${"a".repeat(26)}.preview.example.org/`;
    for (const guess of [other, "https://site.preview.example.org/", "https://preview.example.org/"])
      expect((await fixture.open(guess, { headers: { "x-aegis-instance": "site" } })).status, guess).not.toBe(200);
    expect(fixture.seen).toHaveLength(1);
  });

  it("is over when its time is up, and is told from one that never was", async () => {
    const fixture = await previewFixture();
    const { url, expires_at } = await fixture.create({ ttl_s: 60 });
    expect(expires_at).toBe("2026-01-01T00:01:00.000Z");
    expect(await fixture.open(url)).toMatchObject({ status: 200 });
    fixture.now += 60_000;
    expect(await fixture.open(url)).toMatchObject({ status: 410, text: expect.stringContaining("This link is over") });
  });

  it("dies with the instance", async () => {
    const fixture = await previewFixture();
    const { url } = await fixture.create();
    fixture.connect = async () => {
      throw new AegisError("instance_deleted", "site was deleted.");
    };
    expect(await fixture.open(url)).toMatchObject({ status: 410 });
    await expect(talk(fixture.port, new URL(url).host, "/ws")).rejects.toThrow("410");
  });

  it("says nothing of the host when the site cannot be had", async () => {
    const fixture = await previewFixture();
    const { url } = await fixture.create();
    fixture.connect = async () => {
      throw new AegisError("wrong_state", "site is disabled. Start it first: aegis instance start site");
    };
    const answer = await fixture.open(url);
    expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "3" } });
    expect(answer.text).not.toMatch(/disabled|aegis instance/);
  });

  it("has a page that waits while the site takes its time, for people only", async () => {
    const fixture = await previewFixture();
    const { url } = await fixture.create();
    const awake = Promise.withResolvers<void>();
    fixture.connect = () => awake.promise;
    const page = await fixture.open(url);
    expect(page).toMatchObject({ status: 200, headers: { "cache-control": "no-store" } });
    expect(page.text).toContain("Waking up");
    const script = fixture.open(`${url}app.js`, { headers: { accept: "*/*" } });
    awake.resolve();
    expect(await script).toMatchObject({ status: 200, text: "site /app.js" });
    expect(await fixture.open(url)).toMatchObject({ text: "site /" });
  });
});

describe("a preview under a path of one public host", () => {
  const base = "https://bot.example.org";

  it("keeps its site's own links, redirects, cookies and sockets together", async () => {
    const fixture = await previewFixture(base);
    const { url } = await fixture.create();
    const prefix = new URL(url).pathname.slice(0, -1);
    expect(url).toMatch(/^https:\/\/bot\.example\.org\/p\/p-[a-z2-7]{26}\/$/);
    const page = await fixture.open(`${url}index.html`);
    expect(page).toMatchObject({ status: 200, text: "site /index.html" });
    expect(page.headers["set-cookie"]).toEqual([
      `mine=1; Path=${prefix}/; HttpOnly`,
      expect.stringMatching(/^aegis_preview_last=p-.*; Path=\/; HttpOnly; SameSite=Lax; Secure$/),
    ]);
    expect(fixture.seen.at(-1)?.headers).toMatchObject({
      "x-forwarded-prefix": prefix,
      "x-forwarded-host": "bot.example.org",
      "x-forwarded-proto": "https",
    });
    expect(await fixture.open(url.slice(0, -1))).toMatchObject({ status: 307, headers: { location: `${prefix}/` } });
    const absolute = await fixture.open(`${base}/app.js?v=1`, { headers: { referer: url } });
    expect(absolute).toMatchObject({ status: 307, headers: { location: `${prefix}/app.js?v=1` } });
    for (const path of ["moved", "far"])
      expect(await fixture.open(`${url}${path}`)).toMatchObject({ headers: { location: `${prefix}/there` } });
    const last = page.headers["set-cookie"]?.[1]?.split(";")[0] ?? "";
    expect(await talk(fixture.port, "bot.example.org", "/ws", { cookie: last })).toBe("echo hello");
    expect(await talk(fixture.port, "bot.example.org", `${prefix}/ws`)).toBe("echo hello");
  });

  it("answers nothing else at that host", async () => {
    const fixture = await previewFixture(base);
    const { url } = await fixture.create();
    for (const headers of [
      {},
      { "x-aegis-instance": "site" },
      { referer: `https://evil.example${new URL(url).pathname}` },
    ])
      expect(await fixture.open(`${base}/`, { headers: { ...headers } })).toMatchObject({ status: 404 });
    expect(fixture.seen).toEqual([]);
  });
});

describe("a preview with a password", () => {
  it("lets in who knows it, for as long as the cookie is good", async () => {
    const fixture = await previewFixture();
    const { url, password } = await fixture.create({ password: PASSWORD });
    expect(password).toBe(true);
    expect(await fixture.open(url)).toMatchObject({ status: 401, text: expect.stringContaining('type="password"') });
    await expect(talk(fixture.port, new URL(url).host, "/ws")).rejects.toThrow("401");
    expect(await enter(fixture, url, { password: "guess" })).toMatchObject({ status: 401 });
    expect(fixture.seen).toEqual([]);
    const entered = await enter(fixture, url, { password: PASSWORD });
    expect(entered).toMatchObject({ status: 303, headers: { location: "/" } });
    const cookie = cookieOf(entered);
    expect(entered.headers["set-cookie"]?.[0]).toMatch(/; HttpOnly; SameSite=Lax$/);
    expect(await fixture.open(url, { headers: { cookie } })).toMatchObject({ status: 200 });
    expect(fixture.seen.at(-1)?.headers.cookie).toBeUndefined();
    expect(await talk(fixture.port, new URL(url).host, "/ws", { cookie })).toBe("echo hello");
    const forged = cookie.replace(/=\d+\./, `=${fixture.now + 1e12}.`);
    expect(await fixture.open(url, { headers: { cookie: forged } })).toMatchObject({ status: 401 });
    fixture.now += 8 * 86_400_000;
    expect(await fixture.open(url, { headers: { cookie } })).toMatchObject({ status: 401 });
  });

  it("opens no other preview with the same cookie", async () => {
    const fixture = await previewFixture();
    const [one, other] = [await fixture.create({ password: PASSWORD }), await fixture.create({ password: PASSWORD })];
    const cookie = cookieOf(await enter(fixture, one.url, { password: PASSWORD }));
    const moved = cookie.replace(one.preview_id, other.preview_id);
    expect(await fixture.open(other.url, { headers: { cookie: moved } })).toMatchObject({ status: 401 });
  });

  it("makes guessing slow, also for the right one", async () => {
    const fixture = await previewFixture();
    const { url } = await fixture.create({ password: PASSWORD });
    for (let tries = 0; tries < 5; tries++)
      expect((await enter(fixture, url, { password: `guess ${tries}` })).status).toBe(401);
    expect(await enter(fixture, url, { password: PASSWORD })).toMatchObject({
      status: 429,
      headers: { "retry-after": "1" },
    });
    fixture.now += 1000;
    expect(await enter(fixture, url, { password: "still wrong" })).toMatchObject({ status: 401 });
    expect(await enter(fixture, url, { password: PASSWORD })).toMatchObject({ headers: { "retry-after": "2" } });
    fixture.now += 2000;
    expect(await enter(fixture, url, { password: PASSWORD })).toMatchObject({ status: 303 });
  });
});

describe("a one-time preview", () => {
  it("is not used up by whoever only looks at the link, and then by one browser", async () => {
    const fixture = await previewFixture();
    const { url } = await fixture.create({ one_time: true });
    for (let looks = 0; looks < 2; looks++)
      expect(await fixture.open(url)).toMatchObject({ status: 200, text: expect.stringContaining("opens once") });
    const cookie = cookieOf(await enter(fixture, url));
    expect(await fixture.open(url, { headers: { cookie } })).toMatchObject({ text: "site /" });
    expect(await fixture.open(url)).toMatchObject({ status: 410 });
    expect(await enter(fixture, url)).toMatchObject({ status: 410 });
    expect(await fixture.open(url, { headers: { cookie } })).toMatchObject({ text: "site /" });
  });
});

describe("the public address", () => {
  it.each(["ftp://x.org", "https://x.org/path", "https://user@x.org", "x.org", "https://*.x.org/a?b"])(
    "cannot be %s",
    async (url) => {
      await expect(previewFixture(url)).rejects.toThrow("cannot be the public address");
    },
  );
});
