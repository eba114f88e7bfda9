import { expect, test } from "vitest";
import { linkifyTree, plainText, safeHref } from "../../src/relay/local/rich-text.ts";
import { parseTelegramHtml } from "../../src/relay/local/telegram-html.ts";

test("reads the tags of the Bot API", () => {
  expect(parseTelegramHtml("<b>bold <i>both</i></b> &lt;x&gt; &amp;amp; &#39;&#x41;")).toEqual([
    { tag: "b", children: ["bold ", { tag: "i", children: ["both"] }] },
    " <x> &amp; 'A",
  ]);
  expect(parseTelegramHtml('<pre><code class="language-ts">a &lt; b</code></pre>')).toEqual([
    { tag: "pre", language: "ts", children: ["a < b"] },
  ]);
  expect(parseTelegramHtml('<span class="tg-spoiler">x</span><blockquote expandable>q</blockquote>')).toEqual([
    { tag: "spoiler", children: ["x"] },
    { tag: "quote", children: ["q"] },
  ]);
  expect(parseTelegramHtml('<a href="https://a.example/?x=1&amp;y=2">here</a>')).toEqual([
    { tag: "link", href: "https://a.example/?x=1&y=2", children: ["here"] },
  ]);
});

test.each([
  ["<script>alert(1)</script>", 'Unsupported start tag "script" at byte offset 0'],
  ["ä<img src=x onerror=alert(1)>", 'Unsupported start tag "img" at byte offset 2'],
  ['<span class="x">y</span>', 'Unsupported start tag "span"'],
  ["<constructor>", 'Unsupported start tag "constructor"'],
  ["<b>open", `Can't find end tag corresponding to start tag "b"`],
  ["<b><i>x</b></i>", 'Unmatched end tag, expected "</i>", found "</b>"'],
  ["</b>", "Unexpected end tag"],
  ["a < b", "Unclosed start tag"],
])("refuses %s", (html, message) => {
  expect(() => parseTelegramHtml(html)).toThrow(message);
});

test.each([
  "javascript:alert(1)",
  "data:text/html,x",
  "file:///etc/passwd",
  "vbscript:x",
  "//x",
  "java\nscript:alert(1)",
])("%s is no address to click on", (href) => {
  expect(safeHref(href)).toBeNull();
  expect(parseTelegramHtml(`<a href="${href}">x</a>`)).toEqual(["x"]);
});

test("finds bare addresses in a text, without the sentence around them", () => {
  expect(linkifyTree(["See http://127.0.0.1:8080/ (or https://a.example/x), now."])).toEqual([
    "See ",
    { tag: "link", href: "http://127.0.0.1:8080/", children: ["http://127.0.0.1:8080/"] },
    " (or ",
    { tag: "link", href: "https://a.example/x", children: ["https://a.example/x"] },
    "), now.",
  ]);
  expect(parseTelegramHtml("<code>http://a.example</code>")).toEqual([{ tag: "code", children: ["http://a.example"] }]);
});

test("the plain text is what a person reads", () => {
  expect(plainText(parseTelegramHtml("<b>a</b> <a href='https://x.example'>b</a>"))).toBe("a b");
});

test("a long hostile text is read in a blink", () => {
  expect(() => parseTelegramHtml("<".repeat(200_000))).toThrow("Unclosed");
  expect(() => parseTelegramHtml("<b>".repeat(20_000))).toThrow("end tag");
  expect(parseTelegramHtml("&".repeat(200_000))).toHaveLength(1);
});
