const UNITS: [seconds: number, name: string][] = [
  [86_400, "day"],
  [3600, "hour"],
  [60, "min"],
  [1, "s"],
];

/** `3 min`, `2 days`, `45 s`: the largest unit that fits, rounded down. */
export function humanDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [size, name] = UNITS.find(([unit]) => whole >= unit) ?? [1, "s"];
  const count = Math.floor(whole / size);
  const plural = count !== 1 && (name === "day" || name === "hour") ? "s" : "";
  return `${count} ${name}${plural}`;
}

/** `3 min ago`; `just now` for less than a second. @param time RFC 3339 */
export function humanAgo(time: string, now: number): string {
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 1 ? "just now" : `${humanDuration(seconds)} ago`;
}
