import { randomInt } from "node:crypto";
import type { ChatFile, ChatMessage } from "./chat-message.ts";
import { plainText } from "./rich-text.ts";

interface People {
  botId: number;
  botName: string;
  userId: number;
}

/** Writes the local chat's things down as the objects of the Bot API. */
export class TelegramShapes {
  readonly #people: People;

  constructor(people: People) {
    this.#people = people;
  }

  get chatId(): number {
    return this.#people.userId;
  }

  bot(): object {
    return {
      id: this.#people.botId,
      is_bot: true,
      first_name: this.#people.botName,
      username: "local_claw_bot",
      can_join_groups: false,
      can_read_all_group_messages: false,
      supports_inline_queries: false,
      has_topics_enabled: false,
    };
  }

  user(): object {
    return { id: this.#people.userId, is_bot: false, first_name: "You", language_code: "en" };
  }

  chat(): object {
    return { id: this.#people.userId, type: "private", first_name: "You" };
  }

  message(message: ChatMessage): object {
    const text = plainText(message.content);
    return {
      message_id: message.id,
      from: message.author === "user" ? this.user() : this.bot(),
      chat: this.chat(),
      date: message.date,
      ...(message.editedAt === null ? {} : { edit_date: message.editedAt }),
      ...(message.file ? { ...fileField(message.file), ...(text === "" ? {} : { caption: text }) } : { text }),
      ...(message.author === "user" ? commandEntities(text) : {}),
    };
  }

  press(message: ChatMessage, data: string): object {
    return {
      id: String(randomInt(2 ** 47)),
      from: this.user(),
      chat_instance: String(this.#people.userId),
      message: this.message(message),
      data,
    };
  }
}

/** Telegram marks a leading command, and bots look for the mark. */
function commandEntities(text: string): object {
  const command = /^\/[A-Za-z0-9_@]+/.exec(text)?.[0];
  return command === undefined ? {} : { entities: [{ type: "bot_command", offset: 0, length: command.length }] };
}

function fileField(file: ChatFile): object {
  const common = { file_id: file.id, file_unique_id: file.id, file_size: file.size };
  if (file.kind === "photo") return { photo: [{ ...common, width: 0, height: 0 }] };
  return { document: { ...common, file_name: file.name, mime_type: file.type } };
}
