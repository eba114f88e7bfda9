import { InvalidArgumentError } from "commander";

/** `NAME=value`, once for each variable. */
export function env(text: string, before: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  const name = text.slice(0, equals);
  if (equals === -1 || !/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) throw new InvalidArgumentError("write it as NAME=value");
  return { ...before, [name]: text.slice(equals + 1) };
}
