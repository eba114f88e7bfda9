/** Run by the host in a machine that looks after the workspace, before OpenClaw's doctor: see the kit's `migrate`. */
import { adoptLayout } from "./bot/adopt-layout.ts";

const moved = adoptLayout(process.env["CLAW_WORKSPACE"] ?? "/workspace");
if (moved !== null) process.stdout.write(`${moved}\n`);
