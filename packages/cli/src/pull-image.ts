import type { ImageView } from "@aegis/protocol/image";
import type { Cli } from "./cli.ts";
import { humanSize } from "./render/human-size.ts";
import { ProgressLine } from "./render/progress-line.ts";

/** Pulls or imports, shows how far it is, and answers with the image. */
export async function pullImage(cli: Cli, image: { ref: string; layout?: string }): Promise<void> {
  const progress = new ProgressLine(cli.context.stderr, cli.json);
  let pulled: ImageView | null = null;
  try {
    for await (const step of cli.client.images.pull(image)) {
      if ("done" in step) pulled = step.image;
      else progress.show(step.message, amount(step.done_bytes, step.total_bytes));
    }
  } finally {
    progress.end();
  }
  if (pulled === null) return;
  const { digest, size_bytes } = pulled;
  cli.answer(pulled, () => `${image.ref}  ${digest}  ${humanSize(size_bytes)}`);
}

function amount(done: number | null, total: number | null): string {
  if (done === null) return "";
  return total === null ? humanSize(done) : `${humanSize(done)} of ${humanSize(total)}`;
}
