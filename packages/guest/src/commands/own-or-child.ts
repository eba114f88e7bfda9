import { InvalidArgumentError } from "commander";

/** `PORT` is one of this instance, `NAME PORT` one of a child. */
export function ownOrChild([first, second, ...more]: string[]): { name: string | null; port: string } {
  if (first === undefined || more.length > 0) throw new InvalidArgumentError("give a port, or a child and a port");
  return second === undefined ? { name: null, port: first } : { name: first, port: second };
}
