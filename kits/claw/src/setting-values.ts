import { AegisError } from "@aegis/protocol/errors";

export type Env = Readonly<Record<string, string | undefined>>;

/** @returns null when absent or blank */
export function text(env: Env, name: string): string | null {
  const value = env[name]?.trim();
  return value === undefined || value === "" ? null : value;
}

/** @returns without a trailing slash. @throws AegisError when it is no http(s) URL */
export function url(env: Env, name: string, fallback: string): string {
  const value = text(env, name) ?? fallback;
  const parsed = URL.canParse(value) ? new URL(value) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol))
    throw invalid(name, value, "a URL that starts with http:// or https://");
  if (parsed.username !== "" || parsed.password !== "" || parsed.search !== "" || parsed.hash !== "")
    throw new AegisError(
      "invalid_request",
      `${name} must be a plain URL, without a password, query or fragment in it.`,
    );
  return value.replace(/\/+$/, "");
}

export const memory = (env: Env, name: string, fallback: number, min: number): number =>
  numberIn(env, name, fallback, min, 1_048_576, true, `a whole number of megabytes from ${min} to 1048576`);

/** 0: any free one. */
export const port = (env: Env, name: string, fallback: number): number =>
  numberIn(env, name, fallback, 0, 65_535, true, "a port, 0 to 65535");

export const vcpus = (env: Env, name: string, fallback: number): number =>
  numberIn(env, name, fallback, 0.1, 256, false, "a number of processors from 0.1 to 256");

/** `never` is null. */
export const seconds = (env: Env, name: string, fallback: number | null): number | null => {
  const value = text(env, name);
  if (value === null) return fallback;
  if (value === "never") return null;
  return numberIn(env, name, 0, 0.1, 31_536_000, false, 'a number of seconds from 0.1 to 31536000, or "never"');
};

function numberIn(
  env: Env,
  name: string,
  fallback: number,
  min: number,
  max: number,
  whole: boolean,
  wanted: string,
): number {
  const value = text(env, name);
  if (value === null) return fallback;
  const number = Number(value);
  if (!(number >= min && number <= max) || (whole && !Number.isInteger(number))) throw invalid(name, value, wanted);
  return number;
}

const invalid = (name: string, value: string, wanted: string) =>
  new AegisError("invalid_request", `${name} is "${value}": it must be ${wanted}.`);
