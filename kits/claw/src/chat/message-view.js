/** @import { ChatButton, ChatFile, ChatMessage } from "../relay/local/chat-message.ts" */
/** @import { RichNode, RichText } from "../relay/local/rich-text.ts" */

/**
 * Builds an element. Text always goes in as text: nothing that a message holds is ever parsed as HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** @param {string} href @param {string} className @param {...(Node | string)} children */
function outsideLink(href, className, ...children) {
  const link = element("a", className, ...children);
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

/** @param {RichNode | undefined} node */
const isBlock = (node) => typeof node === "object" && (node.tag === "pre" || node.tag === "quote");

/** A block brings its own space, so the empty lines around it go. @param {RichText} nodes */
function richText(nodes) {
  return nodes.map((node, index) => {
    if (typeof node !== "string") return richNode(node);
    const text = isBlock(nodes[index + 1]) ? node.replace(/\n+$/, "") : node;
    return isBlock(nodes[index - 1]) ? text.replace(/^\n+/, "") : text;
  });
}

/** @param {RichNode} node @returns {Node | string} */
function richNode(node) {
  if (typeof node === "string") return node;
  const children = richText(node.children);
  switch (node.tag) {
    case "link":
      return outsideLink(node.href, "", ...children);
    case "pre":
      return element("pre", "", element("code", "", ...children));
    case "quote":
      return element("blockquote", "", ...children);
    case "spoiler":
      return spoiler(children);
    case "b":
    case "i":
    case "u":
    case "s":
    case "code":
      return element(node.tag, "", ...children);
  }
}

/** @param {(Node | string)[]} children */
function spoiler(children) {
  const hidden = element("button", "spoiler", ...children);
  hidden.type = "button";
  hidden.title = "Show the hidden text";
  hidden.addEventListener("click", () => hidden.classList.add("shown"));
  return hidden;
}

/** @param {number} bytes */
function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/** @param {ChatFile} file */
function fileView(file) {
  const address = `api/files/${file.id}`;
  if (file.kind === "document") {
    const link = element("a", "file", element("b", "", file.name), element("small", "", sizeText(file.size)));
    link.href = address;
    link.download = file.name;
    return link;
  }
  const image = element("img", "");
  image.src = address;
  image.alt = file.name;
  return outsideLink(address, "photo", image);
}

/** @param {ChatButton} button @param {(data: string) => void} onPress */
function buttonView(button, onPress) {
  if (button.url !== null) return outsideLink(button.url, "choice", `${button.text} ↗`);
  const { data } = button;
  const view = element("button", "choice", button.text);
  view.type = "button";
  view.disabled = data === null;
  if (data !== null) view.addEventListener("click", () => onPress(data));
  return view;
}

/** @param {number} date seconds since 1970 */
const clock = (date) => new Date(date * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** @param {ChatMessage} message */
function footLine(message) {
  const time = element("time", "", clock(message.date));
  time.dateTime = new Date(message.date * 1000).toISOString();
  const parts = message.reaction === null ? [] : [element("span", "reaction", message.reaction)];
  if (message.editedAt !== null && message.author === "bot") parts.push(element("span", "", "edited"));
  return element("p", "foot", ...parts, time);
}

/**
 * @param {ChatMessage} message
 * @param {{ botName: string, repliedTo: string | null, onPress: (id: number, data: string) => void }} context
 */
export function messageView(message, { botName, repliedTo, onPress }) {
  const bubble = element("div", "bubble");
  if (repliedTo !== null) bubble.append(element("p", "reply", repliedTo));
  if (message.file) bubble.append(fileView(message.file));
  if (message.content.length > 0) bubble.append(element("div", "text", ...richText(message.content)));
  bubble.append(footLine(message));
  const item = element("li", `message ${message.author}`);
  item.append(element("span", "hidden", message.author === "bot" ? `${botName} says:` : "You say:"), bubble);
  for (const row of message.buttons) {
    const views = row.map((button) => buttonView(button, (data) => onPress(message.id, data)));
    item.append(element("div", "choices", ...views));
  }
  return item;
}

/** @param {RichText} nodes @returns {string} */
export function excerpt(nodes) {
  const text = nodes.map((node) => (typeof node === "string" ? node : excerpt(node.children))).join("");
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
