import type { Kit } from "./kit.ts";
import type { OpenClawApi, TranscriptMessage } from "./openclaw-api.ts";

/** What came from a chat, alone or several at once; what OpenClaw says to itself has other keys. */
const FROM_CHAT = /^(channel-user|followup-collect):/;
/** OpenClaw and the kit answer it without a turn. */
const COMMAND = /^\/[a-z]/i;

/** Which messages wait for the end of a turn, and what a turn has to be told that comes after one which was cut off. */
export function registerUnanswered(api: OpenClawApi, kit: () => Pick<Kit, "unanswered">): void {
  api.on("message_received", ({ content = "", messageId, sessionKey: said }, { sessionKey = said }) => {
    if (sessionKey === undefined || messageId === undefined || COMMAND.test(content)) return;
    kit().unanswered.received(sessionKey, messageId, content);
  });
  api.on("before_message_write", ({ message }, { sessionKey }) => {
    const { role, idempotencyKey = "", __openclaw: origin } = message;
    if (role !== "user" || sessionKey === undefined || !FROM_CHAT.test(idempotencyKey)) return;
    kit().unanswered.begun(sessionKey, origin?.transport?.messageId ?? null, textOf(message));
  });
  api.on("before_prompt_build", (_event, { sessionKey, runId }) => {
    const note = sessionKey === undefined ? null : kit().unanswered.noteFor(sessionKey, runId);
    return note === null ? undefined : { prependContext: note };
  });
}

function textOf({ content }: TranscriptMessage): string {
  if (typeof content === "string") return content;
  return (content ?? []).flatMap(({ text }) => (text === undefined ? [] : [text])).join("\n");
}
