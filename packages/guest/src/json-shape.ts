/** Checks of parsed JSON; what comes out is typed. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A string that the kernel takes: arguments, paths and variables end at a NUL byte. */
export const isKernelString = (value: unknown): value is string => typeof value === "string" && !value.includes("\0");

export const isCommand = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every(isKernelString) && value[0] !== "";

export const isEnv = (value: unknown): value is Record<string, string> =>
  isRecord(value) &&
  Object.entries(value).every(([name, text]) => name !== "" && !/[=\0]/.test(name) && isKernelString(text));

export const isIntegerIn = (value: unknown, low: number, high: number): value is number =>
  Number.isInteger(value) && Number(value) >= low && Number(value) <= high;

export const isPort = (value: unknown): value is number => isIntegerIn(value, 1, 65535);

export const isNullOr = <T>(value: unknown, check: (value: unknown) => value is T): value is T | null =>
  value === null || check(value);

/** The value, or undefined when the text is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
