import type { HookCall, IdlePolicy, OrphanPolicy, RestartPolicy, UpdateInstance } from "@aegis/protocol/instance";
import type { Command } from "commander";
import { duration } from "./duration.ts";
import { oneOf } from "./one-of.ts";
import { hookCall, hookOf, pauseHook } from "./pause-hook.ts";

/** When an instance sleeps, whether it starts again by itself, and when it ends for good. */
export interface PowerOptions {
  /** seconds, infinite for never */
  idleTimeout?: number;
  stopAfter?: number;
  hibernate?: boolean;
  idlePolicy?: IdlePolicy;
  restart?: RestartPolicy;
  pauseHook?: HookCall | "none";
  resumeHook?: HookCall;
  /** seconds, infinite for no end */
  lifetime?: number;
  orphans?: OrphanPolicy;
}

const IDLE_POLICIES = ["default", "leases_only"] as const satisfies IdlePolicy[];
const RESTART_POLICIES = ["no", "on-failure", "always"] as const satisfies RestartPolicy[];

const ORPHAN_POLICIES = ["stop", "keep"] as const satisfies OrphanPolicy[];

export const addPowerOptions = (command: Command): Command =>
  command
    .option("--idle-timeout <time>", "pause after so long without activity, or never (default 60s)", duration)
    .option("--stop-after <time>", "stop after so long in pause, or never (default 5m)", duration)
    .option("--hibernate", "then write its memory to disk instead, where the driver can (default)")
    .option("--no-hibernate", "then stop it, whatever the driver can")
    .option(
      "--idle-policy <policy>",
      "default, or leases_only: what goes on inside does not count",
      oneOf(IDLE_POLICIES),
    )
    .option(
      "--restart <policy>",
      "when it ends by itself: no, on-failure or always (default no)",
      oneOf(RESTART_POLICIES),
    )
    .option(
      "--pause-hook <ask>",
      "before a pause ask it: a shell command, or PORT/PATH of a server inside; or none",
      pauseHook,
    )
    .option("--resume-hook <tell>", "tell it when the pause is over, written as --pause-hook", hookCall)
    .option("--lifetime <time>", "end it for good so long after its creation, or never (default never)", duration)
    .option("--orphans <policy>", "when it ends: stop what it made, or keep it (default stop)", oneOf(ORPHAN_POLICIES));

/** Fields of a create body or of a change; only what was said is in it. */
export function powerFields(options: PowerOptions): UpdateInstance {
  const fields: UpdateInstance = {};
  if (options.idleTimeout !== undefined) fields.pause_after_idle_s = secondsOrNever(options.idleTimeout);
  if (options.stopAfter !== undefined) fields.stop_after_paused_s = secondsOrNever(options.stopAfter);
  if (options.hibernate !== undefined) fields.hibernate = options.hibernate;
  if (options.idlePolicy !== undefined) fields.idle_policy = options.idlePolicy;
  if (options.restart !== undefined) fields.restart = options.restart;
  if (options.lifetime !== undefined) fields.lifetime_s = secondsOrNever(Math.ceil(options.lifetime));
  if (options.orphans !== undefined) fields.orphans = options.orphans;
  const hook = hookOf(options.pauseHook, options.resumeHook);
  if (hook !== undefined) fields.pause_hook = hook;
  return fields;
}

const secondsOrNever = (seconds: number) => (Number.isFinite(seconds) ? seconds : null);
