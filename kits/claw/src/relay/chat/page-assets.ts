import { readFileSync } from "node:fs";

export interface Asset {
  type: string;
  body: Buffer;
}

const folder = new URL("../../chat/", import.meta.url);
const types = {
  "index.html": "text/html; charset=utf-8",
  "chat.css": "text/css; charset=utf-8",
  "messages.css": "text/css; charset=utf-8",
  "chat.js": "text/javascript; charset=utf-8",
  "composer.js": "text/javascript; charset=utf-8",
  "connection.js": "text/javascript; charset=utf-8",
  "message-view.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
};

/** The page's files by name; nothing else of the folder can be fetched. */
export function loadPageAssets(): ReadonlyMap<string, Asset> {
  return new Map(
    Object.entries(types).map(([name, type]) => [name, { type, body: readFileSync(new URL(name, folder)) }]),
  );
}
