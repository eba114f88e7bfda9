import { linkifyTree, type RichNode, type RichText, safeHref } from "./rich-text.ts";

/** The text is no HTML that Telegram takes; the message says what and where, as Telegram does. */
export class EntityError extends Error {
  override readonly name = "EntityError";
}

type Style = "b" | "i" | "u" | "s" | "code" | "spoiler" | "quote" | "pre" | "link" | "none";

const styles: Readonly<Record<string, Style>> = {
  b: "b",
  strong: "b",
  i: "i",
  em: "i",
  u: "u",
  ins: "u",
  s: "s",
  strike: "s",
  del: "s",
  code: "code",
  pre: "pre",
  a: "link",
  blockquote: "quote",
  "tg-spoiler": "spoiler",
  span: "spoiler",
  "tg-emoji": "none",
};

interface Open {
  name: string;
  style: Style;
  attributes: ReadonlyMap<string, string>;
  children: RichNode[];
}

const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'", nbsp: "\u00a0" };

function decodeEntity(whole: string, body: string): string {
  if (!body.startsWith("#")) return named[body] ?? whole;
  const code = body[1] === "x" ? Number.parseInt(body.slice(2), 16) : Number(body.slice(1));
  return Number.isInteger(code) && code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
}

const decodeEntities = (text: string): string => text.replace(/&(#x?[0-9a-fA-F]+|[a-z]+);/g, decodeEntity);

function attributesOf(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const [, name, double, single, bare] of text.matchAll(
    /([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g,
  )) {
    if (name !== undefined) attributes.set(name.toLowerCase(), decodeEntities(double ?? single ?? bare ?? ""));
  }
  return attributes;
}

function languageOf(open: Open): string | null {
  const [only] = open.children;
  const nested = open.children.length === 1 && typeof only === "object" && only.tag === "pre" ? only.language : null;
  return /^language-([\w+#-]{1,40})$/.exec(open.attributes.get("class") ?? "")?.[1] ?? nested;
}

/** Turns a closed element into nodes; one without a usable meaning leaves its children. */
function close(open: Open, insidePre: boolean): readonly RichNode[] {
  const { children } = open;
  switch (open.style) {
    case "none":
      return children;
    case "link": {
      const href = safeHref(open.attributes.get("href") ?? "");
      return href === null ? children : [{ tag: "link", href, children }];
    }
    case "pre": {
      const language = languageOf(open);
      const inner = children.flatMap((node) => (typeof node === "object" && node.tag === "pre" ? node.children : node));
      return [{ tag: "pre", language, children: inner }];
    }
    case "code":
      return insidePre ? [{ tag: "pre", language: languageOf(open), children }] : [{ tag: "code", children }];
    default:
      return [{ tag: open.style, children }];
  }
}

const token = /<(\/?)([^<>]*)>|<|&[^&<>;\s]*;|[^<&]+|&/g;

class Parser {
  readonly #html: string;
  readonly #stack: [Open, ...Open[]] = [{ name: "", style: "none", attributes: new Map(), children: [] }];
  #position = 0;

  constructor(html: string) {
    this.#html = html;
  }

  run(): RichText {
    for (const match of this.#html.matchAll(token)) {
      const [text, slash, inside] = match;
      this.#position = match.index;
      if (text === "<") this.#fail("Unclosed start tag");
      else if (inside === undefined) this.#text(text.startsWith("&") ? decodeEntities(text) : text);
      else if (slash === "/") this.#end(inside);
      else this.#start(inside);
    }
    if (this.#stack.length > 1) {
      throw new EntityError(`Can't find end tag corresponding to start tag "${this.#innermost.name}"`);
    }
    return this.#stack[0].children;
  }

  get #innermost(): Open {
    return this.#stack.at(-1) ?? this.#stack[0];
  }

  #text(text: string): void {
    const { children } = this.#innermost;
    const last = children.at(-1);
    if (typeof last === "string") children[children.length - 1] = last + text;
    else children.push(text);
  }

  #start(inside: string): void {
    const name = nameOf(inside);
    const style = Object.hasOwn(styles, name) ? styles[name] : undefined;
    if (style === undefined || (name === "span" && !inside.includes("tg-spoiler"))) {
      this.#fail(`Unsupported start tag "${name}"`);
    }
    this.#stack.push({ name, style, attributes: attributesOf(inside.slice(name.length)), children: [] });
  }

  #end(inside: string): void {
    const name = nameOf(inside);
    const open = this.#innermost;
    if (this.#stack.length === 1) this.#fail("Unexpected end tag");
    if (name !== open.name) this.#fail(`Unmatched end tag, expected "</${open.name}>", found "</${name}>"`);
    this.#stack.pop();
    const insidePre = this.#stack.some(({ style }) => style === "pre");
    for (const node of close(open, insidePre)) {
      if (typeof node === "string") this.#text(node);
      else this.#innermost.children.push(node);
    }
  }

  #fail(what: string): never {
    throw new EntityError(`${what} at byte offset ${Buffer.byteLength(this.#html.slice(0, this.#position))}`);
  }
}

const nameOf = (inside: string): string => (/^[a-zA-Z0-9-]*/.exec(inside)?.[0] ?? "").toLowerCase();

/**
 * Parses the HTML subset of the Bot API. Addresses in running text become links.
 * @throws EntityError where Telegram answers 400
 */
export function parseTelegramHtml(html: string): RichText {
  return linkifyTree(new Parser(html).run());
}
