import { DatabaseSync } from "node:sqlite";

interface Queued {
  chat: string;
  message: string;
}

interface Payload {
  /** `{update_id, message: {chat, message_id}}`, or another kind of message */
  update?: Record<string, { chat?: { id?: number }; message_id?: number } | number | null>;
}

/**
 * What OpenClaw has taken from Telegram and not handed to a turn, from its own database: it tells no plugin.
 * @param patienceMs for OpenClaw, which may have its database to itself, as right after a kill; the process stands still meanwhile
 * @throws Error when the database cannot be read, or is not as this version of OpenClaw has it
 */
export function openclawQueue(path: string, patienceMs: number): Queued[] {
  const db = new DatabaseSync(path, { readOnly: true, timeout: patienceMs });
  try {
    const rows = db
      .prepare(
        "SELECT payload_json FROM channel_ingress_events WHERE channel_id = 'telegram' AND status IN ('pending', 'claimed')",
      )
      .all();
    return rows.flatMap(({ payload_json }) => messagesIn(JSON.parse(String(payload_json)) as Payload | null));
  } finally {
    db.close();
  }
}

function messagesIn(payload: Payload | null): Queued[] {
  return Object.values(payload?.update ?? {}).flatMap((value) => {
    const { chat, message_id: message } = value === null || typeof value === "number" ? {} : value;
    return chat?.id === undefined || message === undefined ? [] : [{ chat: String(chat.id), message: String(message) }];
  });
}
