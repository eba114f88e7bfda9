import type { WorkStatus } from "./work-status.ts";

const RELOAD_S = 2;
const SHOWN_STEPS = 12;

const headings: Record<WorkStatus["phase"], string> = {
  building: "This is being built …",
  ready: "Done",
  failed: "This did not work out",
};

/** Stands in for the site until there is one; reloads itself while the work goes on. */
export function statusPage(status: WorkStatus): string {
  const reload = status.phase === "building" ? `<meta http-equiv="refresh" content="${RELOAD_S}">` : "";
  const steps = status.steps.slice(-SHOWN_STEPS).map((step) => `<li>${escapeHtml(step)}</li>`);
  return page(
    headings[status.phase],
    reload,
    `<h1>${headings[status.phase]}</h1><p class="job">${escapeHtml(status.title)}</p>
<ol>${steps.join("")}</ol><p class="text">${escapeHtml(status.text)}</p>`,
  );
}

/** @param names entries of the folder, folders with a trailing slash */
export function folderPage(path: string, names: readonly string[]): string {
  const items = names.map(
    (name) =>
      `<li><a href="${encodeURI(name).replaceAll("#", "%23").replaceAll("?", "%3F")}">${escapeHtml(name)}</a></li>`,
  );
  return page(path, "", `<h1>${escapeHtml(path)}</h1><ul>${items.join("")}</ul>`);
}

export const errorPage = (title: string, text: string): string =>
  page(title, "", `<h1>${escapeHtml(title)}</h1><p class="text">${escapeHtml(text)}</p>`);

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

const page = (title: string, head: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${head}
<title>${escapeHtml(title)}</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#223;background:#fafafa}
h1{font-size:1.5rem}.job{color:#667}.text{white-space:pre-wrap}li{margin:.2rem 0}
</style></head><body>${body}</body></html>
`;
