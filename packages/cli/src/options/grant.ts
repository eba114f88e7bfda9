import { readFileSync } from "node:fs";
import type { Capabilities } from "@aegis/protocol/capability";
import { InvalidArgumentError } from "commander";
import { messageOf } from "@aegis/protocol/errors";

/** A grant as JSON, or `@file` with it. The daemon checks what is in it. */
export function grant(text: string): Capabilities {
  const json = text.startsWith("@") ? read(text.slice(1)) : text;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    throw new InvalidArgumentError(`is no JSON: ${messageOf(error)}`);
  }
  throw new InvalidArgumentError('must be an object, as in {"spawn": true, "spawn_depth": 1, ...}');
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new InvalidArgumentError(`cannot be read: ${messageOf(error)}`);
  }
}
