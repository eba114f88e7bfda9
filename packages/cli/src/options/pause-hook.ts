import type { HookCall, PauseHook } from "@aegis/protocol/instance";
import { InvalidArgumentError } from "commander";

const HOW =
  'write it as a shell command, as ["a","list","of","words"], or as PORT/PATH of a server inside, as in 8080/may-sleep';

/** How the workload is asked: `8080/path` is a request, a JSON list a command, anything else a line for its shell. */
export function hookCall(text: string): HookCall {
  const http = /^(\d{1,5})(\/[!-~]*)$/.exec(text);
  if (http?.[2] !== undefined) return { http: { port: Number(http[1]), path: http[2] } };
  if (text.trim() === "") throw new InvalidArgumentError(HOW);
  return { command: text.startsWith("[") ? words(text) : ["sh", "-c", text] };
}

/** Like {@link hookCall}; `none` takes the question away. */
export const pauseHook = (text: string): HookCall | "none" => (text === "none" ? text : hookCall(text));

/** @returns undefined when nothing was said about it, null for none */
export function hookOf(ask?: HookCall | "none", resume?: HookCall): PauseHook | null | undefined {
  if (resume === undefined) return ask === "none" ? null : ask;
  if (ask === "none" || ask === undefined)
    throw new InvalidArgumentError("--resume-hook goes with --pause-hook: who is not asked is not told either");
  return { ...ask, resume };
}

function words(text: string): string[] {
  const list = parsed(text);
  if (Array.isArray(list) && list.length > 0 && list.every((word) => typeof word === "string")) return list;
  throw new InvalidArgumentError(HOW);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
