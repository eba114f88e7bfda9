const UNIT_S: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

/** `90`, `"30m"`, `"2 h"`, `"1d"`: seconds, rounded up. @returns null when it is no duration */
export function parseDuration(text: string): number | null {
  const [, amount, unit = "s"] = /^\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?\s*$/i.exec(text) ?? [];
  const factor = UNIT_S[unit.toLowerCase()];
  return amount === undefined || factor === undefined ? null : Math.ceil(Number(amount) * factor);
}

/** For people: `45 s`, `2 min 5 s`, `1 h 30 min`, `3 d`. */
export function durationText(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return joined(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86_400) return joined(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return joined(Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3600), "h");
}

const joined = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
