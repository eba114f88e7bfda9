import type { DatabaseSync } from "node:sqlite";
import type { Upload } from "../bot-api/read-parameters.ts";
import { transaction } from "../database.ts";
import type { UpdateQueue } from "../delivery/update-queue.ts";
import type { LocalUpstreamOptions } from "../options.ts";
import type { ChatFeed } from "./chat-feed.ts";
import { type ChatMessage, type ChatSnapshot, emptyBody, type MessageBody } from "./chat-message.ts";
import type { FileStore } from "./file-store.ts";
import type { MessageStore } from "./message-store.ts";
import { linkifyTree } from "./rich-text.ts";
import type { TelegramShapes } from "./telegram-shapes.ts";

const shownMessages = 500;

interface Dependencies {
  db: DatabaseSync;
  options: LocalUpstreamOptions;
  messages: MessageStore;
  files: FileStore;
  queue: UpdateQueue;
  feed: ChatFeed;
  shapes: TelegramShapes;
  /** called when an update waits for the bot */
  onQueued: () => void;
}

/** The one private chat: what the person and the bot do in it. */
export class LocalChat {
  readonly feed: ChatFeed;
  readonly #deps: Dependencies;

  constructor(deps: Dependencies) {
    this.feed = deps.feed;
    this.#deps = deps;
  }

  snapshot(): ChatSnapshot {
    const { options, messages } = this.#deps;
    return {
      bot: { name: options.botName ?? "Claw", label: options.modelLabel ?? null },
      state: this.feed.state,
      messages: messages.latest(shownMessages),
    };
  }

  /** The person writes: message and update become durable together. */
  write(text: string): ChatMessage {
    return this.#fromUser({ ...emptyBody, content: linkifyTree([text]) });
  }

  async attach(upload: Upload, caption: string): Promise<ChatMessage> {
    const file = await this.#deps.files.keep(upload, "photo");
    return this.#fromUser({ ...emptyBody, file, content: caption === "" ? [] : linkifyTree([caption]) });
  }

  /** The person presses a button. @returns false when there is no such button */
  press(id: number, data: string): boolean {
    const { db, queue, messages, shapes, onQueued } = this.#deps;
    const message = messages.get(id);
    if (!message?.buttons.flat().some((button) => button.data === data)) return false;
    transaction(db, () => queue.append({ callback_query: shapes.press(message, data) }));
    onQueued();
    return true;
  }

  #fromUser(body: MessageBody): ChatMessage {
    const { db, queue, messages, shapes, onQueued } = this.#deps;
    const message = transaction(db, () => {
      const added = messages.add("user", body);
      queue.append({ message: shapes.message(added) });
      return added;
    });
    this.feed.publish({ type: "message", message });
    onQueued();
    return message;
  }

  /** The bot writes. */
  post(body: MessageBody): ChatMessage {
    const message = this.#deps.messages.add("bot", body);
    this.feed.publish({ type: "message", message });
    this.feed.setTyping(false);
    return message;
  }

  get(id: number): ChatMessage | null {
    return this.#deps.messages.get(id);
  }

  change(message: ChatMessage, changes: Partial<MessageBody>, edited: boolean): ChatMessage {
    const changed = this.#deps.messages.change(message, changes, edited);
    this.feed.publish({ type: "message", message: changed });
    return changed;
  }

  delete(id: number): boolean {
    const deleted = this.#deps.messages.delete(id);
    if (deleted) this.feed.publish({ type: "deleted", id });
    return deleted;
  }
}
