/** What `aegis kit VERB claw` runs: see kit.json. */
import { AegisError } from "@aegis/protocol/errors";

const [verb = "", ...args] = process.argv.slice(2);

async function run(): Promise<number> {
  switch (verb) {
    case "setup": {
      const { setup } = await import("./setup/setup.ts");
      return setup(args, {
        env: process.env,
        input: process.stdin,
        output: process.stdout,
        interactive: process.stdin.isTTY && process.stdout.isTTY,
        print,
      });
    }
    case "status": {
      const { status } = await import("./status/status.ts");
      return status(args, { env: process.env, print });
    }
    case "down": {
      const { down } = await import("./down.ts");
      return down(args, { env: process.env, print });
    }
    case "pair": {
      const { pair } = await import("./pair.ts");
      return pair(args, process.env, print);
    }
    case "backup": {
      const { backup } = await import("./state/backup.ts");
      return backup(args, process.env, print);
    }
    case "restore": {
      const { restore } = await import("./state/restore.ts");
      return restore(args, process.env, print);
    }
    case "upgrade": {
      const { upgrade } = await import("./state/upgrade.ts");
      return upgrade(args, process.env, print);
    }
    case "rollback": {
      const { rollback } = await import("./state/rollback.ts");
      return rollback(args, process.env, print);
    }
    default:
      throw new AegisError("invalid_request", `The kit has no "${verb}": see aegis kit list.`);
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  process.exitCode = await run();
} catch (error) {
  if (!(error instanceof AegisError)) throw error;
  if (args.includes("--json")) print(JSON.stringify(error.toBody()));
  else process.stderr.write(`aegis: ${error.message}\n`);
  process.exitCode = 1;
}
