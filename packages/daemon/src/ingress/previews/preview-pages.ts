/** Where the forms of these pages go: below the preview, where no site has its own. */
export const ENTER_PATH = "/.aegis/enter";

const page = (title: string, body: string, head = ""): string => `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">${head}
<title>${title}</title>
<style>body{font:16px/1.5 system-ui;max-width:28rem;margin:18vh auto;padding:0 1rem;color-scheme:light dark}
input,button{font:inherit;padding:.5rem .8rem;border-radius:.5rem;border:1px solid #8888}button{cursor:pointer}</style>
<h1>${title}</h1>${body}</html>
`;

/** @param prefix of the preview's paths: empty, or `/p/<token>` */
export const passwordPage = (prefix: string, note: string): string =>
  page(
    "This page has a password",
    `<p>${note}</p><form method="post" action="${prefix}${ENTER_PATH}">
<input type="password" name="password" aria-label="Password" required autofocus> <button>Open</button></form>`,
  );

export const oneTimePage = (prefix: string): string =>
  page(
    "This link opens once",
    `<p>The first browser that opens it keeps it.</p><form method="post" action="${prefix}${ENTER_PATH}"><button autofocus>Open</button></form>`,
  );

/** Looks again by itself. */
export const waitingPage = (): string =>
  page(
    "Waking up",
    "<p>This page was asleep. It will be here in a moment.</p>",
    '<meta http-equiv="refresh" content="1"><script>setTimeout(() => location.reload(), 500)</script>',
  );

export const gonePage = (): string =>
  page("This link is over", "<p>What was here has been removed, or the time of the link is up.</p>");

export const unknownPage = (): string => page("Nothing here", "<p>There is no such page. Check the link.</p>");

export const unavailablePreviewPage = (): string =>
  page(
    "Not available right now",
    "<p>This page could not be started. Try again later, or ask who sent you the link.</p>",
  );
