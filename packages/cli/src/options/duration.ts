import { InvalidArgumentError } from "commander";

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90`, `90s`, `5m`, `2h`, `1d`; `never` is null. */
export function duration(text: string): number | null {
  if (text === "never") return null;
  const match = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(text);
  const unit = match?.[2] as keyof typeof SECONDS | "" | undefined;
  if (!match || unit === undefined) throw new InvalidArgumentError("write it as 90s, 5m, 2h, 1d or never");
  return Number(match[1]) * (unit === "" ? 1 : SECONDS[unit]);
}

/** Like {@link duration}, where there has to be an end. */
export function finiteDuration(text: string): number {
  const seconds = duration(text);
  if (seconds === null) throw new InvalidArgumentError("write it as 90s, 5m, 2h or 1d");
  return seconds;
}
