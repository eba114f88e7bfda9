import type { ExposeRequest } from "@aegis/protocol/instance";
import { InvalidArgumentError } from "commander";

const HOW = "write it as PUBLIC:GUEST, as in 8080:80, or as GUEST alone for any free public port";

/** `8080:80` is public:guest, `80` alone gets any public port; `/tcp` behind it keeps it off the HTTP router. */
export function expose(text: string): ExposeRequest {
  const match = /^(?:(\d+):)?(\d+)(?:\/(http|tcp))?$/.exec(text);
  if (!match) throw new InvalidArgumentError(HOW);
  return {
    port: port(match[2]),
    ...(match[1] === undefined ? {} : { public_port: port(match[1]) }),
    ...(match[3] === "http" || match[3] === "tcp" ? { protocol: match[3] } : {}),
  };
}

export const exposes = (text: string, before: ExposeRequest[] = []): ExposeRequest[] => [...before, expose(text)];

export function port(text: string | undefined): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 65_535) return value;
  throw new InvalidArgumentError(`${text} is not a port, 1 to 65535`);
}
