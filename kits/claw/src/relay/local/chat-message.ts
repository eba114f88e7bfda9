import type { RichText } from "./rich-text.ts";

export interface ChatButton {
  text: string;
  /** what the bot gets when it is pressed */
  data: string | null;
  /** or the page that opens */
  url: string | null;
}

export interface ChatFile {
  id: string;
  kind: "photo" | "document";
  name: string;
  type: string;
  size: number;
}

/** What a message holds beside its number, author and date. */
export interface MessageBody {
  content: RichText;
  buttons: readonly (readonly ChatButton[])[];
  file: ChatFile | null;
  replyTo: number | null;
  reaction: string | null;
  /** seconds since 1970, or null */
  editedAt: number | null;
}

/** One message as the page gets it. */
export interface ChatMessage extends MessageBody {
  id: number;
  author: "user" | "bot";
  /** seconds since 1970 */
  date: number;
}

export const emptyBody: MessageBody = {
  content: [],
  buttons: [],
  file: null,
  replyTo: null,
  reaction: null,
  editedAt: null,
};

export type ChatState = "ready" | "asleep" | "waking" | "typing";

/** What the page is told while it is open. */
export type ChatEvent =
  | { type: "message"; message: ChatMessage }
  | { type: "deleted"; id: number }
  | { type: "notice"; text: string; alert: boolean }
  | { type: "state"; state: ChatState };

/** What the page is told when it opens. */
export interface ChatSnapshot {
  bot: { name: string; label: string | null };
  state: ChatState;
  messages: readonly ChatMessage[];
}
