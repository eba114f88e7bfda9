import { WorkRefused } from "./work-desk.ts";

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
