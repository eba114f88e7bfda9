/** Formatted text as a tree that a page can build without ever parsing HTML. */
export type RichText = readonly RichNode[];
export type RichNode =
  | string
  | { readonly tag: "b" | "i" | "u" | "s" | "code" | "spoiler" | "quote"; readonly children: RichText }
  | { readonly tag: "pre"; readonly language: string | null; readonly children: RichText }
  | { readonly tag: "link"; readonly href: string; readonly children: RichText };

/** What is left without the formatting: the `text` of the Bot API. */
export function plainText(nodes: RichText): string {
  return nodes.map((node) => (typeof node === "string" ? node : plainText(node.children))).join("");
}

const safeSchemes = new Set(["http:", "https:", "mailto:", "tel:"]);

/** The address if a person may safely click on it, else null. */
export function safeHref(text: string): string | null {
  const url = URL.parse(text);
  return url && safeSchemes.has(url.protocol) ? url.href : null;
}

const address = /https?:\/\/[^\s<>"'`]+/g;
/** Punctuation that follows an address in a sentence; a closing bracket belongs to it only with its opening one. */
const trailing = /[.,;:!?]+$/;

function trimAddress(text: string): string {
  const bare = text.replace(trailing, "");
  return bare.endsWith(")") && !bare.includes("(") ? trimAddress(bare.slice(0, -1)) : bare;
}

/** Makes links of the bare addresses in a text. */
function linkify(text: string): RichNode[] {
  const nodes: RichNode[] = [];
  let end = 0;
  for (const match of text.matchAll(address)) {
    const shown = trimAddress(match[0]);
    const href = safeHref(shown);
    if (href === null) continue;
    if (match.index > end) nodes.push(text.slice(end, match.index));
    nodes.push({ tag: "link", href, children: [shown] });
    end = match.index + shown.length;
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}

/** The same tree with links for bare addresses, except where text is meant literally. */
export function linkifyTree(nodes: RichText): RichText {
  return nodes.flatMap((node): RichText => {
    if (typeof node === "string") return linkify(node);
    if (node.tag === "code" || node.tag === "pre" || node.tag === "link") return [node];
    return [{ ...node, children: linkifyTree(node.children) }];
  });
}
