import type { DeliveryContext } from "./openclaw-api.ts";

/** `agent:main:telegram:direct:42`, `agent:main:telegram:group:-100123:topic:5` */
const SESSION = /^agent:[^:]+:telegram:(?:[a-z_]+:)*(-?\d+)(?::(?:topic|thread):(?:-?\d+:)?(\d+))?$/;

/** The chat that a session of OpenClaw's is about; null: none on Telegram. */
export function chatOfSession(session: string): DeliveryContext | null {
  const [, id, thread] = SESSION.exec(session) ?? [];
  if (id === undefined) return null;
  return { channel: "telegram", to: `telegram:${id}`, ...(thread === undefined ? {} : { threadId: thread }) };
}

/** @param chat as the Bot API has it: `42` */
export const isSessionOf = (session: string, chat: string): boolean =>
  chatOfSession(session)?.to === `telegram:${chat}`;
