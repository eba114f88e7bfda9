import { InvalidArgumentError } from "commander";

/** Megabytes: `512`, `512m`, `2g`. */
export function memory(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(m|mb|g|gb)?$/i.exec(text);
  if (!match) throw new InvalidArgumentError("write it as 512m or 2g");
  return Math.round(Number(match[1]) * (match[2]?.toLowerCase().startsWith("g") ? 1024 : 1));
}
