import { AegisError, RETRY_AFTER_S } from "@aegis/protocol/errors";

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const escape = (text: string): string => text.replace(/[&<>]/g, (character) => escapes[character] ?? character);

/** What a person reads in the browser when an instance cannot be reached. */
export function unavailableHtml(error: unknown): string {
  const why = error instanceof AegisError ? error.message : "The instance could not be reached.";
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Not available</title>
<style>body{font:16px/1.5 system-ui;max-width:38rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}</style>
<h1>Not available right now</h1><p>${escape(why)}</p><p>Try again in a few seconds.</p></html>
`;
}

/** The same as a whole HTTP/1.1 answer, for a connection that has not been parsed. */
export function unavailablePage(error: unknown): string {
  const body = unavailableHtml(error);
  return [
    "HTTP/1.1 503 Service Unavailable",
    "Content-Type: text/html; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Retry-After: ${RETRY_AFTER_S}`,
    "Cache-Control: no-store",
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}
