import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { siteServer } from "../../guest/work/site-server.ts";
import type { WorkStatus } from "../../guest/work/work-status.ts";

async function site(files: Record<string, string>) {
  const folder = mkdtempSync(join(tmpdir(), "site-"));
  const root = join(folder, "site");
  mkdirSync(root);
  writeFileSync(join(folder, "outside.txt"), "secret");
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(root, name, ".."), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  const status: WorkStatus = { title: "Lobsters & <co>", phase: "ready", steps: ["wrote index.html"], text: "" };
  const server = siteServer(root, () => status);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  return {
    root,
    status,
    port,
    get: (path: string) => fetch(`http://127.0.0.1:${port}${path}`, { redirect: "manual" }),
  };
}

/** `fetch` would tidy the path up before it sends it. */
async function rawGet(port: number, path: string): Promise<number> {
  const sent = request({ port, host: "127.0.0.1", path }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

test("files come with their type and length", async () => {
  const { get } = await site({ "index.html": "<h1>hi</h1>", "a b/x.css": "p{}", "empty.js": "" });
  const index = await get("/?x=1");
  expect(await index.text()).toBe("<h1>hi</h1>");
  expect(index.headers.get("content-type")).toBe("text/html; charset=utf-8");
  const css = await get("/a%20b/x.css");
  expect([css.status, css.headers.get("content-type"), await css.text()]).toEqual([
    200,
    "text/css; charset=utf-8",
    "p{}",
  ]);
  expect(await (await get("/empty.js")).text()).toBe("");
});

test.each([
  "/../outside.txt",
  "/%2e%2e/outside.txt",
  "/..%2foutside.txt",
  "/x/../../outside.txt",
  "/link",
  "/%00",
  "/%zz",
])("%s does not leave the folder", async (path) => {
  const { root, port } = await site({ "index.html": "x" });
  symlinkSync("../outside.txt", join(root, "link"));
  expect(await rawGet(port, path)).toBe(404);
});

test("a link to a start page outside is not followed", async () => {
  const { root, get } = await site({});
  symlinkSync("../outside.txt", join(root, "index.html"));
  expect(await (await get("/")).text()).not.toContain("secret");
});

test("a folder without a start page is listed, hidden files left out", async () => {
  const { get } = await site({ "sub/a&b.txt": "1", "sub/.hidden": "2", "sub/deeper/c.txt": "3" });
  expect((await get("/sub")).headers.get("location")).toBe("/sub/");
  const list = await (await get("/sub/")).text();
  expect(list).toContain("a&amp;b.txt");
  expect(list).toContain("deeper/");
  expect(list).not.toContain("hidden");
});

test("while it is being built, pages reload themselves and files are there", async () => {
  const { status, get } = await site({ "index.html": "half", "style.css": "p{}" });
  status.phase = "building";
  const page = await (await get("/")).text();
  expect(page).toContain('http-equiv="refresh"');
  expect(page).toContain("Lobsters &amp; &lt;co&gt;");
  expect(page).not.toContain("half");
  expect(await (await get("/style.css")).text()).toBe("p{}");
});

test("failed work says why", async () => {
  const { status, get } = await site({});
  Object.assign(status, { phase: "failed", text: "no key" });
  const page = await (await get("/")).text();
  expect(page).toContain("no key");
  expect(page).not.toContain("refresh");
});

test("it can only be read", async () => {
  const { port, get } = await site({ "index.html": "x" });
  expect((await fetch(`http://127.0.0.1:${port}/`, { method: "POST" })).status).toBe(405);
  expect((await get("/nothing.html")).status).toBe(404);
  const head = await fetch(`http://127.0.0.1:${port}/`, { method: "HEAD" });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, "1"]);
});
