import { constants } from "node:os";
import type { ProcessExit } from "@aegis/protocol/control";

const numbers: ReadonlyMap<string, number> = new Map(Object.entries(constants.signals));

/** `SIGTERM` or `TERM` to its number, null when there is no such signal. */
export function signalNumber(name: string): number | null {
  return numbers.get(name) ?? numbers.get(`SIG${name}`) ?? null;
}

export function processExit(code: number | null, signal: string | null): ProcessExit {
  if (signal === null) return { code: code ?? 255, signal: null };
  return { code: 128 + (signalNumber(signal) ?? 0), signal };
}
