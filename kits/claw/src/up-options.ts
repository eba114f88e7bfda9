import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { AegisError, messageOf } from "@aegis/protocol/errors";
import { aegisHome } from "@aegis/sdk/aegis-home";
import type { BaseChoice } from "./image/build-claw-image.ts";
import type { Env } from "./setting-values.ts";

const BASES = ["auto", "registry", "local"] as const satisfies BaseChoice["kind"][];

/** What the command line of `npm start` says, over what the environment does. */
export interface UpOptions {
  home: string;
  /** 0: the last one, else any */
  chatPort: number;
  base: BaseChoice["kind"];
  /** absent: the one in the home, if there is one */
  settingsFile: string | null;
  /** the environment with what the options set in it */
  env: Env;
}

/** @throws AegisError `invalid_request` that names the option */
export function readUpOptions(args: string[], env: Env): UpOptions {
  const values = parse(args);
  const { idle } = values;
  const home = values.home === undefined ? aegisHome(env) : resolve(values.home);
  const forIdle = idle === undefined ? {} : { CLAW_BOT_PAUSE_AFTER_IDLE_S: idle, CLAW_WORK_PAUSE_AFTER_IDLE_S: idle };
  return {
    home,
    chatPort: port(values["chat-port"]),
    base: base(values.base),
    settingsFile: values.settings === undefined ? null : resolve(values.settings),
    env: { ...env, ...forIdle, AEGIS_HOME: home },
  };
}

function parse(args: string[]) {
  const string = { type: "string" } as const;
  try {
    return parseArgs({
      args,
      options: { home: string, "chat-port": string, idle: string, settings: string, base: string },
    }).values;
  } catch (cause) {
    const why = messageOf(cause);
    throw new AegisError("invalid_request", `${why}: npm start -- --help lists the options`, { cause });
  }
}

function port(text: string | undefined): number {
  const value = Number(text ?? 0);
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
  throw new AegisError("invalid_request", `--chat-port is "${text}": it must be a port, 1 to 65535`);
}

function base(text: string | undefined): BaseChoice["kind"] {
  const found = BASES.find((kind) => kind === (text ?? "auto"));
  if (found !== undefined) return found;
  throw new AegisError("invalid_request", `--base is "${text}": it must be one of ${BASES.join(", ")}`);
}
