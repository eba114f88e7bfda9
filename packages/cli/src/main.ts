import { Cli } from "./cli.ts";
import { runCli } from "./run-cli.ts";

// `aegis logs web | head`: the reader is gone, so are we
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}

const exitCode = await runCli(
  process.argv.slice(2),
  new Cli({
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signals: process,
    now: () => Date.now(),
  }),
);
// all that was printed is out; a call that nobody waits for any more must not keep the terminal
for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write("", resolve));
process.exit(exitCode);
