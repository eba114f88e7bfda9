import { messageOf } from "@aegis/protocol/errors";
import { aegisHome } from "./aegis-home.ts";
import { launchDaemon } from "./daemon-process.ts";

// What `aegis up` runs as root through sudo: starts the daemon, waits for it, and goes.
try {
  await launchDaemon({ home: aegisHome(process.env), env: process.env });
} catch (error) {
  process.stderr.write(`aegis: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
