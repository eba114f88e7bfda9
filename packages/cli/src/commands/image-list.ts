import type { Register } from "../command-table.ts";
import { humanSize } from "../render/human-size.ts";
import { humanAgo } from "../render/human-time.ts";
import { shortRef } from "../render/instance-text.ts";
import { table } from "../render/table.ts";

const SHORT_DIGEST = "sha256:".length + 12;

export const register: Register = (command, cli) => {
  command.action(async () => {
    const images = await cli.client.images.list();
    const rows = images.map((image) => [
      image.refs.map(shortRef).join(", ") || "-",
      image.digest.slice(0, SHORT_DIGEST),
      humanSize(image.size_bytes),
      humanAgo(image.created_at, cli.context.now()),
    ]);
    cli.answer(images, () =>
      rows.length === 0
        ? "no images: fetch one with `aegis image pull REF`"
        : table(["IMAGE", "DIGEST", "SIZE", "CREATED"], rows),
    );
  });
};
