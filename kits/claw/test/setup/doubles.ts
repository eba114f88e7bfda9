import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";

export const TOKEN = "123456789:AAFabcdefghijklmnopqrstuvwxyz0123456";
export const KEY = "sk-key-of-the-model";

export interface Asked {
  url: string;
  headers: IncomingMessage["headers"];
  body: unknown;
}

/** A Bot API that knows one token, and a provider that knows one key and the model `m`, on one port of the loopback. */
export async function startDoubles(): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const url = request.url ?? "";
      asked.push({ url, headers: request.headers, body: body === "" ? null : JSON.parse(body) });
      const [status, answer] = answerTo(url, request.headers, body);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
  });
  return { url: await started(server), asked };
}

async function started(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

function answerTo(url: string, headers: IncomingMessage["headers"], body: string): [number, object] {
  if (url.startsWith("/bot"))
    return url === `/bot${TOKEN}/getMe`
      ? [200, { ok: true, result: { id: 1, is_bot: true, username: "lobster_bot" } }]
      : [401, { ok: false, description: "Unauthorized" }];
  const key = headers["x-api-key"] ?? headers.authorization?.replace("Bearer ", "");
  if (key !== KEY) return [401, { error: { message: `Incorrect API key provided: ${String(key)}` } }];
  const { model } = JSON.parse(body) as { model: string };
  return model === "m" ? [200, { choices: [] }] : [404, { error: { message: "The model does not exist" } }];
}
