/** First process of a work instance: does the work once, and serves what came out of it at every boot. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { GuestApi } from "./plugin/guest-api.ts";
import { StayAwake } from "./plugin/stay-awake.ts";
import { runWork } from "./work/run-work.ts";
import { CLAW_WORK_ENV, type WorkSpec } from "./work-spec.ts";

const text = process.env[CLAW_WORK_ENV];
if (text === undefined)
  throw new Error(`${CLAW_WORK_ENV} is not set: a work instance is started by the bot, not by hand`);
const spec = JSON.parse(text) as WorkSpec;

const workspace = process.env["CLAW_WORKSPACE"] ?? "/workspace";
const site = join(workspace, "site");
mkdirSync(site, { recursive: true });

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort(signal));

const api = new GuestApi(process.env["AEGIS_GUEST_API"] ?? "http://127.0.0.1:7777");
const awake = new StayAwake(api, (error) => process.stderr.write(`keeping awake: ${String(error)}\n`));
const code = await runWork({
  spec,
  folders: { workspace, site },
  awake,
  print: (line) => process.stdout.write(`${line}\n`),
  signal: stop.signal,
});
process.exit(code);
