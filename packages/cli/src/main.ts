import { Cli } from "./cli.ts";
import { endWithReader, printedAll } from "./process-output.ts";
import { runCli } from "./run-cli.ts";

endWithReader();

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
// a call that nobody waits for any more must not keep the terminal
await printedAll();
process.exit(exitCode);
