import { aegisHome } from "./aegis-home.ts";
import { launchDaemon } from "./daemon-process.ts";

// What `aegis up` runs as root through sudo: starts the daemon, waits for it, and goes.
try {
  await launchDaemon({ home: aegisHome(process.env), env: process.env });
} catch (error) {
  process.stderr.write(`aegis: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
