import type { IncomingMessage, ServerResponse } from "node:http";
import { type GatewayCall, GatewayPause, type PauseAnswer } from "./gateway-pause.ts";
import type { OpenClawApi } from "./openclaw-api.ts";

/** on the gateway's port, for whoever has the gateway's token */
export const PAUSE_PATH = "/claw-kit/may-pause";

/** Answers the pause hook of the bot's instance, `pause.ts`. */
export function registerPauseRoute(api: OpenClawApi, call: GatewayCall, standStill?: (ms: number) => void): void {
  const pause = new GatewayPause(call, standStill);
  api.registerHttpRoute({
    path: PAUSE_PATH,
    auth: "gateway",
    match: "exact",
    // with the contract of the manifest: it is no work of the gateway's itself, and may suspend it
    gatewayRuntimeScopeSurface: "trusted-operator",
    handler: async (request, response) => {
      await answer(pause, request, response).catch((error: unknown) =>
        api.logger.warn(`claw-kit: OpenClaw takes no work for up to two minutes: ${String(error)}`),
      );
      return true;
    },
  });
}

async function answer(pause: GatewayPause, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "POST") return void response.writeHead(405, { allow: "POST" }).end();
  try {
    await pause.ask((said: PauseAnswer) => written(response, JSON.stringify(said)));
  } finally {
    // not before: a request that has ended may resume nothing
    response.end();
  }
}

/** All of a body; whoever reads it need not wait for the end of the response. */
function written(response: ServerResponse, body: string): Promise<void> {
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  return new Promise((resolve) => response.write(body, () => resolve()));
}
