const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escapeHtml = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => escapes[character] ?? "");
const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** A colour of its own for each topic, the same every time. */
const hueOf = (topic: string): number =>
  Buffer.from(topic.toLowerCase()).reduce((hue, byte) => (hue * 31 + byte) % 360, 7);

function page(topic: string): string {
  const name = escapeHtml(topic);
  const title = escapeHtml(capitalised(topic));
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>All about ${name}</title>
    <link rel="stylesheet" href="style.css" />
  </head>
  <body>
    <header>
      <p class="kicker">A small website about</p>
      <h1>${title}</h1>
      <p class="lead">Everything you always wanted to know about ${name}, on one friendly page.</p>
      <a class="button" href="#start">Start reading</a>
    </header>
    <main id="start">
      <section class="cards">
        <article><h2>Why ${name}?</h2><p>Because few things reward a closer look as much. Once you begin to notice ${name}, you see them with new eyes.</p></article>
        <article><h2>A short history</h2><p>People have told stories about ${name} for as long as there have been stories. This page is one more.</p></article>
        <article><h2>Where to begin</h2><p>Find somebody who loves ${name}, ask one question, and listen. There is no better introduction.</p></article>
      </section>
      <blockquote>“The more I learn about ${name}, the more there is to love.”</blockquote>
    </main>
    <footer>Built by the offline demo model in a work instance of its own.</footer>
  </body>
</html>
`;
}

function styles(hue: number): string {
  return `:root {
  color-scheme: light dark;
  --accent: oklch(0.58 0.17 ${hue});
  --deep: oklch(0.3 0.09 ${hue});
  --paper: light-dark(oklch(0.985 0.008 ${hue}), oklch(0.19 0.02 ${hue}));
  --card: light-dark(white, oklch(0.24 0.025 ${hue}));
  --ink: light-dark(oklch(0.25 0.03 ${hue}), oklch(0.93 0.015 ${hue}));
}
* { box-sizing: border-box; }
body { margin: 0; font: 1.05rem/1.65 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header { padding: 7rem 1.5rem 8rem; text-align: center; color: white; background: linear-gradient(150deg, var(--accent), var(--deep)); }
h1 { margin: 0.2em 0; font-size: clamp(2.8rem, 9vw, 5.5rem); line-height: 1.05; letter-spacing: -0.03em; }
.kicker { margin: 0; letter-spacing: 0.14em; text-transform: uppercase; font-size: 0.85rem; opacity: 0.85; }
.lead { max-width: 34rem; margin: 1rem auto 2rem; font-size: 1.2rem; opacity: 0.92; }
.button { display: inline-block; padding: 0.8rem 1.7rem; border-radius: 99px; font-weight: 600; text-decoration: none; color: var(--deep); background: white; }
main { max-width: 66rem; margin: -4rem auto 0; padding: 0 1.5rem; }
.cards { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); }
article { padding: 1.8rem; border-radius: 1.2rem; background: var(--card); box-shadow: 0 12px 36px rgb(0 0 0 / 0.1); }
h2 { margin: 0 0 0.4rem; font-size: 1.25rem; color: var(--accent); }
blockquote { margin: 4.5rem auto; max-width: 40rem; text-align: center; font: italic 1.6rem/1.4 Georgia, serif; }
footer { padding: 2rem; text-align: center; font-size: 0.9rem; opacity: 0.65; }
`;
}

/** The files of the website, in the order in which they are written. */
export function websiteFiles(topic: string): readonly { path: string; content: string }[] {
  return [
    { path: "index.html", content: page(topic) },
    { path: "style.css", content: styles(hueOf(topic)) },
  ];
}
