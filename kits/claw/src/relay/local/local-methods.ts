import { BotApiError } from "../bot-api/answer.ts";
import type { Parameters } from "../bot-api/read-parameters.ts";
import { asObject } from "../json-value.ts";
import type { ChatButton, ChatFile, ChatMessage } from "./chat-message.ts";
import { emptyBody } from "./chat-message.ts";
import type { FileStore } from "./file-store.ts";
import type { LocalChat } from "./local-chat.ts";
import { linkifyTree, plainText, type RichText, safeHref } from "./rich-text.ts";
import { EntityError, parseTelegramHtml } from "./telegram-html.ts";
import type { TelegramShapes } from "./telegram-shapes.ts";

interface Dependencies {
  chat: LocalChat;
  files: FileStore;
  shapes: TelegramShapes;
}

type Method = (deps: Dependencies, parameters: Parameters) => unknown;

const bad = (why: string): BotApiError => new BotApiError(400, `Bad Request: ${why}`);

function requireChat({ shapes }: Dependencies, parameters: Parameters): void {
  if (parameters.text("chat_id") !== String(shapes.chatId)) throw bad("chat not found");
}

function requireMessage(deps: Dependencies, parameters: Parameters, missing: string): ChatMessage {
  requireChat(deps, parameters);
  const message = deps.chat.get(parameters.number("message_id") ?? 0);
  if (message?.author !== "bot") throw bad(missing);
  return message;
}

function formatted(parameters: Parameters, field: "text" | "caption", limit: number): RichText {
  const text = parameters.text(field) ?? "";
  const html = parameters.text("parse_mode")?.toLowerCase() === "html";
  try {
    const content = html ? parseTelegramHtml(text) : linkifyTree([text]);
    if (plainText(content).length > limit) throw bad(field === "text" ? "message is too long" : "caption is too long");
    return content;
  } catch (error) {
    throw error instanceof EntityError ? bad(`can't parse entities: ${error.message}`) : error;
  }
}

function requireText(parameters: Parameters): RichText {
  const content = formatted(parameters, "text", 4096);
  if (plainText(content).trim() === "") throw bad("message text is empty");
  return content;
}

function buttonOf(value: unknown): ChatButton | null {
  const button = asObject(value);
  const text = button?.["text"];
  if (typeof text !== "string") return null;
  const data = button?.["callback_data"];
  const url = button?.["url"];
  return {
    text,
    data: typeof data === "string" ? data : null,
    url: typeof url === "string" ? safeHref(url) : null,
  };
}

function buttonsOf(parameters: Parameters): ChatButton[][] {
  const rows = asObject(parameters.value("reply_markup"))?.["inline_keyboard"];
  if (!Array.isArray(rows)) return [];
  return rows.map((row) => (Array.isArray(row) ? row.map(buttonOf).filter((button) => button !== null) : []));
}

function replyTo(parameters: Parameters): number | null {
  const nested = asObject(parameters.value("reply_parameters"))?.["message_id"];
  return typeof nested === "number" ? nested : parameters.number("reply_to_message_id");
}

const sendMessage: Method = (deps, parameters) => {
  requireChat(deps, parameters);
  const content = requireText(parameters);
  const extras = { buttons: buttonsOf(parameters), replyTo: replyTo(parameters) };
  return deps.shapes.message(deps.chat.post({ ...emptyBody, content, ...extras }));
};

/** Every kind of file is sent alike; a page shows photos and offers the rest for download. */
const sendFile =
  (field: string, kind: ChatFile["kind"]): Method =>
  async (deps, parameters) => {
    requireChat(deps, parameters);
    const content = formatted(parameters, "caption", 1024);
    const upload = parameters.upload(field);
    const file = upload ? await deps.files.keep(upload, kind) : deps.files.find(parameters.text(field) ?? "");
    if (!file) throw bad("wrong file identifier or no file in the request");
    const extras = { file, buttons: buttonsOf(parameters), replyTo: replyTo(parameters) };
    return deps.shapes.message(deps.chat.post({ ...emptyBody, content, ...extras }));
  };

const editContent =
  (read: (parameters: Parameters) => RichText): Method =>
  (deps, parameters) => {
    const message = requireMessage(deps, parameters, "message to edit not found");
    const changes = { content: read(parameters), buttons: buttonsOf(parameters) };
    const { content, buttons } = message;
    if (JSON.stringify(changes) === JSON.stringify({ content, buttons })) {
      throw bad(
        "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
      );
    }
    return deps.shapes.message(deps.chat.change(message, changes, true));
  };

const editMarkup: Method = (deps, parameters) => {
  const message = requireMessage(deps, parameters, "message to edit not found");
  return deps.shapes.message(deps.chat.change(message, { buttons: buttonsOf(parameters) }, false));
};

const deleteMessage: Method = (deps, parameters) => {
  requireChat(deps, parameters);
  if (!deps.chat.delete(parameters.number("message_id") ?? 0)) throw bad("message to delete not found");
  return true;
};

const deleteMessages: Method = (deps, parameters) => {
  requireChat(deps, parameters);
  const ids = parameters.value("message_ids");
  for (const id of Array.isArray(ids) ? ids : []) deps.chat.delete(Number(id));
  return true;
};

const sendChatAction: Method = (deps, parameters) => {
  requireChat(deps, parameters);
  deps.chat.feed.setTyping(true);
  return true;
};

const answerCallbackQuery: Method = (deps, parameters) => {
  const text = parameters.text("text");
  if (text) deps.chat.feed.publish({ type: "notice", text, alert: parameters.value("show_alert") === true });
  return true;
};

const setMessageReaction: Method = (deps, parameters) => {
  requireChat(deps, parameters);
  const message = deps.chat.get(parameters.number("message_id") ?? 0);
  if (!message) throw bad("message to react not found");
  const reactions = parameters.value("reaction");
  const emoji = asObject(Array.isArray(reactions) ? reactions[0] : null)?.["emoji"];
  deps.chat.change(message, { reaction: typeof emoji === "string" ? emoji.slice(0, 16) : null }, false);
  return true;
};

const getFile: Method = (deps, parameters) => {
  const file = deps.files.find(parameters.text("file_id") ?? "");
  if (!file) throw bad("invalid file_id");
  return { file_id: file.id, file_unique_id: file.id, file_size: file.size, file_path: `${file.id}/${file.name}` };
};

const getChat: Method = (deps, parameters) => {
  requireChat(deps, parameters);
  return deps.shapes.chat();
};

const yes: Method = () => true;
const none: Method = () => [];

const methods: Readonly<Record<string, Method>> = {
  getme: ({ shapes }) => shapes.bot(),
  getchat: getChat,
  getfile: getFile,
  sendmessage: sendMessage,
  sendphoto: sendFile("photo", "photo"),
  senddocument: sendFile("document", "document"),
  sendvideo: sendFile("video", "document"),
  sendaudio: sendFile("audio", "document"),
  sendvoice: sendFile("voice", "document"),
  sendanimation: sendFile("animation", "photo"),
  sendchataction: sendChatAction,
  editmessagetext: editContent(requireText),
  editmessagecaption: editContent((parameters) => formatted(parameters, "caption", 1024)),
  editmessagereplymarkup: editMarkup,
  deletemessage: deleteMessage,
  deletemessages: deleteMessages,
  answercallbackquery: answerCallbackQuery,
  setmessagereaction: setMessageReaction,
  setmycommands: yes,
  deletemycommands: yes,
  getmycommands: none,
  setchatmenubutton: yes,
  pinchatmessage: yes,
  unpinchatmessage: yes,
};

/** The method of that name, in any case, or null when the local chat has none. */
export function localMethod(name: string): Method | null {
  const lower = name.toLowerCase();
  return Object.hasOwn(methods, lower) ? (methods[lower] ?? null) : null;
}
