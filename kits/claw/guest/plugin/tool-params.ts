import type { NetworkPolicy } from "@aegis/protocol/network";
import { parseDuration } from "./duration.ts";
import { WorkRefused } from "./work-refused.ts";

type Params = Record<string, unknown>;

/** A model sends what it likes: empty text and null count as left out. @throws WorkRefused on another type */
export function optionalText(params: Params, name: string): string | null {
  const value = params[name];
  if (value === undefined || value === null || value === "") return null;
  if (typeof value !== "string") throw new WorkRefused(`"${name}" must be text.`);
  return value;
}

export function requiredText(params: Params, name: string): string {
  const value = optionalText(params, name);
  if (value === null) throw new WorkRefused(`"${name}" is missing.`);
  return value;
}

export function optionalWhole(params: Params, name: string, min: number, max: number): number | null {
  const value = params[name];
  if (value === undefined || value === null || value === "") return null;
  const number = Number(value);
  if (!Number.isInteger(number) || number < min || number > max)
    throw new WorkRefused(`"${name}" must be a whole number from ${min} to ${max}.`);
  return number;
}

export function portList(params: Params, name: string): number[] {
  const value = params[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new WorkRefused(`"${name}" must be a list of port numbers.`);
  const ports = value.map((port: unknown) => optionalWhole({ [name]: port }, name, 1, 65535));
  return [...new Set(ports.filter((port) => port !== null))];
}

/** One text is a list of one. */
export function textList(params: Params, name: string): string[] {
  const value = params[name];
  if (!Array.isArray(value)) return [optionalText(params, name)].filter((text) => text !== null);
  return value.map((item: unknown) => optionalText({ [name]: item }, name)).filter((text) => text !== null);
}

/** @returns seconds */
export function optionalDuration(params: Params, name: string): number | null {
  const value = params[name];
  if (value === undefined || value === null || value === "") return null;
  const seconds = typeof value === "string" || typeof value === "number" ? parseDuration(`${value}`) : null;
  if (seconds === null || seconds < 1) throw new WorkRefused(`"${name}" must be a duration like "30m" or "2h".`);
  return seconds;
}

export function optionalFlag(params: Params, name: string): boolean {
  const value = params[name];
  if (value === undefined || value === null || value === "") return false;
  if (value === true || value === "true") return true;
  if (value === false || value === "false") return false;
  throw new WorkRefused(`"${name}" must be true or false.`);
}

/** `open`, `none`, or the hosts that may be reached, as a list or one text. Whether a host is one, the host says. */
export function optionalNetwork(params: Params, name: string): NetworkPolicy | null {
  const value = params[name];
  if (value === undefined || value === null || value === "") return null;
  if (value === "open" || value === "none") return { mode: value };
  const list: unknown[] = typeof value === "string" ? value.split(/[\s,]+/) : Array.isArray(value) ? value : [];
  const hosts = list.filter((host): host is string => typeof host === "string" && host !== "");
  if (hosts.length === 0 || hosts.length < list.filter((host) => host !== "").length)
    throw new WorkRefused(`"${name}" must be "open", "none" or a list of hosts like ["pypi.org"].`);
  return hosts.length === 1 && (hosts[0] === "open" || hosts[0] === "none")
    ? { mode: hosts[0] }
    : { mode: "allowlist", allow: hosts };
}
