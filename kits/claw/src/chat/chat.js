/** @import { ChatEvent, ChatMessage, ChatSnapshot, ChatState } from "../relay/local/chat-message.ts" */
import { setUpComposer } from "./composer.js";
import { ChatError, follow, openSession, pressButton, sendFile, sendText } from "./connection.js";
import { element, excerpt, messageView } from "./message-view.js";

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function part(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}

const scroller = part("scroller", HTMLElement);
const list = part("messages", HTMLOListElement);
const welcome = part("welcome", HTMLElement);
const stateLine = part("state", HTMLElement);
const activity = part("activity", HTMLElement);
const activityText = part("activity-text", HTMLElement);
const label = part("label", HTMLElement);
const notice = part("notice", HTMLElement);

/** @type {Record<ChatState | "offline", string>} */
const stateTexts = {
  ready: "awake",
  asleep: "asleep, wakes when you write",
  waking: "waking up…",
  typing: "typing…",
  offline: "connection lost, trying again…",
};

/** @type {Map<number, { message: ChatMessage, view: HTMLElement }>} */
const shown = new Map();
let botName = "Claw";
let noticeTimer = 0;

/** @param {string} text */
function showNotice(text) {
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = window.setTimeout(() => (notice.hidden = true), 8000);
}

/** @param {unknown} error */
const showFailure = (error) => showNotice(error instanceof ChatError ? error.message : "That did not work.");

/** @param {ChatState | "offline"} state */
function showState(state) {
  stateLine.dataset["state"] = state;
  stateLine.textContent = stateTexts[state];
  const stick = isAtEnd();
  activity.hidden = state !== "typing" && state !== "waking";
  activityText.textContent = state === "waking" ? `${botName} is waking up` : "";
  if (stick) toEnd();
}

const isAtEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
const toEnd = () => scroller.scrollTo({ top: scroller.scrollHeight });

/** @param {ChatMessage} message */
function viewOf(message) {
  const original = message.replyTo === null ? undefined : shown.get(message.replyTo)?.message;
  const repliedTo = original ? excerpt(original.content) : null;
  const view = messageView(message, {
    botName,
    repliedTo,
    onPress: (id, data) => void pressButton(id, data).catch(showFailure),
  });
  for (const image of view.querySelectorAll("img")) image.addEventListener("load", () => isAtEnd() && toEnd());
  return view;
}

/** @param {ChatMessage} message */
function showMessage(message) {
  const stick = isAtEnd() || message.author === "user";
  const known = shown.get(message.id);
  const view = viewOf(message);
  if (known) known.view.replaceWith(view);
  else {
    showDay(message);
    list.append(view);
  }
  shown.set(message.id, { message, view });
  welcome.hidden = true;
  if (stick) toEnd();
}

/** A line between two messages of different days. @param {ChatMessage} message */
function showDay(message) {
  const day = new Date(message.date * 1000).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  if (list.dataset["day"] === day) return;
  list.dataset["day"] = day;
  list.append(element("li", "day", day));
}

/** @param {{ type: "snapshot" } & ChatSnapshot} snapshot */
function showSnapshot({ bot, state, messages }) {
  botName = bot.name;
  document.title = bot.name;
  part("name", HTMLElement).textContent = bot.name;
  label.hidden = bot.label === null;
  label.textContent = bot.label;
  shown.clear();
  list.replaceChildren();
  delete list.dataset["day"];
  for (const message of messages) showMessage(message);
  welcome.hidden = messages.length > 0;
  showState(state);
  toEnd();
}

/** @param {ChatEvent | ({ type: "snapshot" } & ChatSnapshot)} event */
function onEvent(event) {
  switch (event.type) {
    case "snapshot":
      return showSnapshot(event);
    case "message":
      return showMessage(event.message);
    case "deleted":
      shown.get(event.id)?.view.remove();
      shown.delete(event.id);
      return;
    case "notice":
      return showNotice(event.text);
    case "state":
      return showState(event.state);
  }
}

setUpComposer({
  form: part("composer", HTMLFormElement),
  text: part("text", HTMLTextAreaElement),
  file: part("file", HTMLInputElement),
  chips: part("chips", HTMLElement),
  onText: sendText,
  onFile: sendFile,
  onFailure: showFailure,
});

try {
  await openSession();
} catch (error) {
  showFailure(error);
}
follow(onEvent, (why) => {
  showState("offline");
  if (why === "refused") {
    stateLine.textContent = "not signed in";
    showNotice("Open the chat by the full address that was printed at its start.");
  }
});
