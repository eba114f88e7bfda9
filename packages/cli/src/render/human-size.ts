const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** `312 MB`, `1.4 GB`: powers of 1024, one digit behind the point below ten. */
export function humanSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit] ?? ""}`;
}
