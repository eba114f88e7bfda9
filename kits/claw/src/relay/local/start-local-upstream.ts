import type { DatabaseSync } from "node:sqlite";
import { AegisError } from "@aegis/protocol/errors";
import { ChatAccess, loadChatKey } from "../chat/chat-access.ts";
import { createChatServer } from "../chat/chat-server.ts";
import { loadPageAssets } from "../chat/page-assets.ts";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import { closeServer, listen } from "../listen.ts";
import type { LocalUpstreamOptions } from "../options.ts";
import { SentJournal } from "../sent-journal.ts";
import type { Settings } from "../settings.ts";
import type { ChatFeed } from "./chat-feed.ts";
import { FileStore } from "./file-store.ts";
import { LocalChat } from "./local-chat.ts";
import { LocalUpstream } from "./local-upstream.ts";
import { MessageStore } from "./message-store.ts";
import { TelegramShapes } from "./telegram-shapes.ts";

interface Dependencies {
  options: LocalUpstreamOptions;
  stateDir: string;
  botToken: string;
  db: DatabaseSync;
  settings: Settings;
  queue: UpdateQueue;
  feed: ChatFeed;
  onQueued: () => void;
  log: (line: string) => void;
}

/** Puts the local chat together and opens its page. */
export async function startLocalUpstream(deps: Dependencies): Promise<LocalUpstream> {
  const { options, db, settings, queue, feed, onQueued, log } = deps;
  const shapes = new TelegramShapes({
    botId: Number(deps.botToken.split(":")[0]) || 1,
    botName: options.botName ?? "Claw",
    userId: options.userId ?? 42,
  });
  const messages = new MessageStore(db, settings);
  const files = new FileStore(deps.stateDir, messages);
  const chat = new LocalChat({ db, options, messages, files, queue, feed, shapes, onQueued });
  const access = new ChatAccess(loadChatKey(deps.stateDir));
  const open = (): ReturnType<typeof createChatServer> =>
    createChatServer({ access, assets: loadPageAssets(), chat, files, log });

  const { page, port } = await openPage(open, options, settings.number("chat_port"));
  settings.set("chat_port", port);
  return new LocalUpstream({ journal: new SentJournal(db), chat, files, shapes, page, chatUrl: access.url(port) });
}

type Page = ReturnType<typeof createChatServer>;

/** With a free choice, the port of the last start is tried first: a bookmark goes on working. */
async function openPage(
  open: () => Page,
  options: LocalUpstreamOptions,
  last: number | null,
): Promise<{ page: Page; port: number }> {
  const page = open();
  if (options.port !== 0 || last === null) return { page, port: await listen(page, options.host, options.port) };
  try {
    return { page, port: await listen(page, options.host, last) };
  } catch (error) {
    await closeServer(page);
    if (!(error instanceof AegisError && error.code === "port_taken")) throw error;
    const other = open();
    return { page: other, port: await listen(other, options.host, 0) };
  }
}
