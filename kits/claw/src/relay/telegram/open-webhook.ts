import { randomBytes } from "node:crypto";
import { AegisError } from "@aegis/protocol/errors";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import { closeServer, listen } from "../listen.ts";
import type { RetryMs, TelegramMode } from "../options.ts";
import type { Settings } from "../settings.ts";
import type { TelegramClient } from "./telegram-client.ts";
import type { Trouble } from "./trouble.ts";
import { Tunnel } from "./tunnel.ts";
import { createWebhookReceiver } from "./webhook-receiver.ts";
import { WebhookRegistration } from "./webhook-registration.ts";
import type { Welcome } from "./welcome.ts";

interface Dependencies {
  mode: Extract<TelegramMode, { kind: "webhook" }>;
  client: TelegramClient;
  queue: UpdateQueue;
  settings: Settings;
  welcome: Welcome;
  trouble: Trouble;
  onQueued: () => void;
  log: (line: string) => void;
  retryMs: RetryMs;
}

/** Opens the end of the public URL, then tells Telegram of it. @throws AegisError `port_taken` */
export async function openWebhook(deps: Dependencies): Promise<{ close(): Promise<void> }> {
  const { mode, settings, queue, welcome, onQueued, log } = deps;
  const secret = settings.text("public_secret") ?? randomBytes(32).toString("base64url");
  settings.set("public_secret", secret);
  const receiver = createWebhookReceiver({ secret, queue, welcome, onQueued, log });
  const port = await listenAgain(receiver, mode.port, settings.number("public_port"));
  settings.set("public_port", port);
  const registration = new WebhookRegistration({ ...deps, secret });
  const tunnel = reach(deps, port, registration);
  return {
    async close() {
      await registration.close();
      await tunnel?.close();
      await closeServer(receiver);
    },
  };
}

function reach(deps: Dependencies, port: number, registration: WebhookRegistration): Tunnel | null {
  const { reach: chosen } = deps.mode;
  switch (chosen.kind) {
    case "url":
      registration.use(chosen.url);
      return null;
    case "tunnel": {
      const tunnel = new Tunnel({ ...deps, ...chosen, port, onUrl: (url) => registration.use(url) });
      tunnel.start();
      return tunnel;
    }
  }
}

/** With a free choice the port of the last time, so that a tunnel that outlived us finds us again. */
async function listenAgain(server: Parameters<typeof listen>[0], wanted: number, last: number | null): Promise<number> {
  if (wanted !== 0 || last === null) return listen(server, "127.0.0.1", wanted);
  try {
    return await listen(server, "127.0.0.1", last);
  } catch (error) {
    if (!(error instanceof AegisError && error.code === "port_taken")) throw error;
    return listen(server, "127.0.0.1", 0);
  }
}
