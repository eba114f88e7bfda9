import type { PreviewView } from "@aegis/protocol/preview";
import type { Register } from "../command-table.ts";
import { humanAgo, humanDuration } from "../render/human-time.ts";
import { table } from "../render/table.ts";

export const register: Register = (command, cli) => {
  command.argument("<name>", "handle or id").action(async (name: string) => {
    const previews = await cli.client.previews.list(name);
    const now = cli.context.now();
    const rows = previews.map((preview) => [
      preview.preview_id,
      String(preview.guest_port),
      guardOf(preview),
      preview.expires_at === null ? "-" : humanDuration((Date.parse(preview.expires_at) - now) / 1000),
      preview.opened_at === null ? "never" : humanAgo(preview.opened_at, now),
      preview.url,
    ]);
    cli.answer(previews, () =>
      rows.length === 0
        ? `no previews: make one with \`aegis preview create ${name}\``
        : table(["PREVIEW", "PORT", "FOR", "LEFT", "OPENED", "URL"], rows),
    );
  });
};

function guardOf({ password, one_time }: PreviewView): string {
  if (password) return one_time ? "password, once" : "password";
  return one_time ? "once" : "who has the link";
}
