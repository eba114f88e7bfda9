import { AegisError } from "@aegis/protocol/errors";

export type Query = Record<string, string | string[] | undefined>;

export function queryText(query: Query, name: string): string | undefined {
  const value = query[name];
  return Array.isArray(value) ? value[0] : value;
}

export const queryFlag = (query: Query, name: string, absent = false): boolean =>
  ["true", "1", ""].includes(queryText(query, name) ?? String(absent));

/** @throws AegisError `invalid_request` when it is no whole number >= 0 */
export function queryCount(query: Query, name: string): number | undefined {
  const value = queryText(query, name);
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value))
    throw new AegisError(
      "invalid_request",
      `The parameter ${name} must be a whole number, not ${JSON.stringify(value)}.`,
    );
  return Number(value);
}

/** @throws AegisError `invalid_request` when it is no time */
export function queryTime(query: Query, name: string): string | undefined {
  const value = queryText(query, name);
  if (value === undefined) return undefined;
  const time = Date.parse(value);
  if (Number.isNaN(time))
    throw new AegisError("invalid_request", `The parameter ${name} must be a time like 2026-01-31T12:00:00Z.`);
  return new Date(time).toISOString();
}
