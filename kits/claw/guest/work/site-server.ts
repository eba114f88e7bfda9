import { createReadStream } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { contentType } from "./content-type.ts";
import { siteFile } from "./site-file.ts";
import { errorPage, folderPage, statusPage } from "./status-page.ts";
import type { WorkStatus } from "./work-status.ts";

/** Serves the folder as a static site; while there is none, a page that says how the work goes. */
export function siteServer(root: string, status: () => WorkStatus): Server {
  return createServer((request, response) => {
    answer(root, status(), request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
}

async function answer(
  root: string,
  status: WorkStatus,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD")
    return html(request, response, 405, errorPage("Not possible", "This is a static site: it can only be read."));
  const path = (request.url ?? "/").replace(/[?#].*$/s, "");
  // a page that is still being written would be shown half done; what it links to is harmless
  if (status.phase === "building" && (path.endsWith("/") || path.endsWith(".html")))
    return html(request, response, 200, statusPage(status));
  const found = await siteFile(root, path);
  switch (found.kind) {
    case "file":
      return await file(request, response, found.path, found.size);
    case "redirect":
      response.writeHead(301, { location: found.to, "content-length": 0 }).end();
      return;
    case "folder":
      if (found.names.length === 0 || status.phase === "failed")
        return html(request, response, 200, statusPage(status));
      return html(request, response, 200, folderPage(path, found.names));
    case "none":
      if (path === "/") return html(request, response, 200, statusPage(status));
      return html(request, response, 404, errorPage("Not found", `There is nothing at ${path}.`));
  }
}

async function file(request: IncomingMessage, response: ServerResponse, path: string, size: number): Promise<void> {
  response.writeHead(200, { "content-type": contentType(path), "content-length": size, "cache-control": "no-cache" });
  if (request.method === "HEAD") return void response.end();
  await pipeline(createReadStream(path, { end: Math.max(0, size - 1) }), response);
}

function html(request: IncomingMessage, response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, {
    "content-type": "text/html; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : text);
}
