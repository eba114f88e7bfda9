import { startRelay } from "../../src/relay/start-relay.ts";

/** A relay in a process of its own, to be killed. Its options come by stdin. */
const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
const options = JSON.parse(Buffer.concat(chunks).toString());
await startRelay({
  ...options,
  log: (line) => process.stderr.write(`${line}\n`),
});
process.stdout.write("ready\n");
