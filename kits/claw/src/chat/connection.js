/** @import { ChatEvent, ChatSnapshot } from "../relay/local/chat-message.ts" */

/** A call that the relay refused; the message is meant for the person. */
export class ChatError extends Error {}

/**
 * @param {string} path below `api/`
 * @param {BodyInit} body
 * @param {string} type
 */
async function post(path, body, type) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(`api/${path}`, { method: "POST", headers: { "content-type": type }, body });
  } catch {
    throw new ChatError("The relay does not answer. Is it still running?");
  }
  if (response.ok) return;
  const answer = await response.json().catch(() => ({}));
  throw new ChatError(typeof answer.error === "string" ? answer.error : `The relay answered ${response.status}.`);
}

const json = "application/json";

/** @param {string} text */
export const sendText = (text) => post("messages", JSON.stringify({ text }), json);

/** @param {number} id @param {string} data */
export const pressButton = (id, data) => post(`messages/${id}/press`, JSON.stringify({ data }), json);

/** @param {File} file @param {string} caption */
export const sendFile = (file, caption) =>
  post(`files?${new URLSearchParams({ name: file.name, caption })}`, file, file.type || "application/octet-stream");

/** Exchanges the key in the address for a cookie, and takes it out of the address bar and the history. */
export async function openSession() {
  const key = location.hash.slice(1);
  if (key === "") return;
  await post("session", JSON.stringify({ key }), json);
  history.replaceState(null, "", location.pathname);
}

/**
 * Follows the chat; comes back by itself after an interruption, beginning with a fresh snapshot.
 * @param {(event: ChatEvent | ({ type: "snapshot" } & ChatSnapshot)) => void} onEvent
 * @param {(why: "lost" | "refused") => void} onDown
 */
export function follow(onEvent, onDown) {
  const source = new EventSource("api/events");
  source.addEventListener("message", ({ data }) => onEvent(JSON.parse(data)));
  source.addEventListener("error", () => onDown(source.readyState === EventSource.CLOSED ? "refused" : "lost"));
}
