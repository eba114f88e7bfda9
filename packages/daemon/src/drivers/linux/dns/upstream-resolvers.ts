import { readFile, stat } from "node:fs/promises";
import { isIP } from "node:net";
import type { ResolverAddress } from "./dns-upstream.ts";

const MAX_RESOLVERS = 3;
const PORT = 53;

export const parseResolvConf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "")
    .filter((address) => isIP(address) !== 0)
    .slice(0, MAX_RESOLVERS);

/** The host's own resolvers, read again whenever their file changes. */
export class UpstreamResolvers {
  readonly #file: string;
  #seen = "";
  #addresses: string[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  async list(): Promise<ResolverAddress[]> {
    const info = await stat(this.#file).catch(() => null);
    const seen = info === null ? "" : `${info.ino}:${info.mtimeMs}:${info.size}`;
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#addresses = parseResolvConf(await readFile(this.#file, "utf8").catch(() => ""));
    }
    return this.#addresses.map((address) => ({ address, port: PORT }));
  }
}
