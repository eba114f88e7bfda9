import { asObject, type JsonObject } from "../json-value.ts";

/** An update of the Bot API; what is inside is the bot's business. */
export interface Update extends JsonObject {
  readonly update_id: number;
}

export function isUpdate(value: unknown): value is Update {
  return Number.isSafeInteger(asObject(value)?.["update_id"]);
}

/** The one object beside `update_id`: message, callback_query, ... */
function payloadOf(update: Update): JsonObject | null {
  for (const [key, value] of Object.entries(update)) {
    const payload = key === "update_id" ? null : asObject(value);
    if (payload) return payload;
  }
  return null;
}

const idOf = (value: unknown): number | null => {
  const id = asObject(value)?.["id"];
  return typeof id === "number" ? id : null;
};

/** The chat that an update is about; below 0 for groups and channels. */
export function chatOf(update: Update): number | null {
  const payload = payloadOf(update);
  return idOf(payload?.["chat"]) ?? idOf(asObject(payload?.["message"])?.["chat"]);
}

/** Updates of one lane stay in order; lanes do not wait for each other. */
export function laneOf(update: Update): string {
  const chat = chatOf(update);
  if (chat !== null) return `chat:${chat}`;
  const sender = senderOf(update);
  return sender === null ? "other" : `user:${sender}`;
}

/** The person behind an update, or null when there is none (a channel post, a poll's end). */
export function senderOf(update: Update): number | null {
  const payload = payloadOf(update);
  return idOf(payload?.["from"]) ?? idOf(payload?.["user"]);
}
