const streams = () => [process.stdout, process.stderr];

/** `aegis logs web | head`: the reader is gone, so are we. */
export function endWithReader(): void {
  for (const stream of streams()) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  }
}

/** Settles when all that was printed is out: an exit before that would cut it. */
export async function printedAll(): Promise<void> {
  for (const stream of streams()) await new Promise((resolve) => stream.write("", resolve));
}
