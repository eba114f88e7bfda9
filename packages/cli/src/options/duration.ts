import { InvalidArgumentError } from "commander";

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of `90`, `90s`, `5m`, `2h`, `1d`; `never` is infinite. */
export const duration = (text: string): number =>
  text === "never" ? Infinity : parse(text, "90s, 5m, 2h, 1d or never");

/** Like {@link duration}, where there has to be an end. */
export const finiteDuration = (text: string): number => parse(text, "90s, 5m, 2h or 1d");

function parse(text: string, how: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(text);
  const unit = match?.[2] as keyof typeof SECONDS | "" | undefined;
  if (!match || unit === undefined) throw new InvalidArgumentError(`write it as ${how}`);
  return Number(match[1]) * (unit === "" ? 1 : SECONDS[unit]);
}
