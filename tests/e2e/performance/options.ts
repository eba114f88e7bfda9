import { parseArgs } from "node:util";

export const GROUPS = ["boot", "exec", "running", "paused", "stopped", "end", "memory", "power"] as const;
export type Group = (typeof GROUPS)[number];

export interface BenchOptions {
  groups: readonly Group[];
  /** where the raw numbers go, or null */
  json: string | null;
}

export const HELP = `npm run bench -- [options] [group ...]

Measures aegisd beside the raw runtime, in the same run, and prints one table. Without a group: all of them, about
nine minutes.

  boot      create to the workload's first output, with the image in place
  exec      \`true\` in a running instance
  running   first byte through the public port of a running instance
  paused    first byte through the public port of a paused instance, which it wakes
  stopped   first byte through the public port of a stopped instance, which it boots
  end       stop, and delete, of a running instance
  memory    resident memory of the harness and of aegisd, and aegisd's CPU time while all instances are paused
  power     more of paused and stopped, what a pause costs and gives back, and aegisd with 100 instances; about four
            minutes, with a swap file of its own for as long

  --json FILE   also writes every single measurement
  --help        this text

It runs as root, in an Aegis home of its own that is gone afterwards. Nothing here can fail for being slow.
`;

const isGroup = (name: string): name is Group => GROUPS.some((group) => group === name);

/** @returns null when help was asked for. @throws Error for an argument that means nothing */
export function parseOptions(args: string[]): BenchOptions | null {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: "string" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help === true) return null;
  const unknown = positionals.find((name) => !isGroup(name));
  if (unknown !== undefined) throw new Error(`there is no group "${unknown}"; the groups are ${GROUPS.join(", ")}`);
  return { groups: positionals.length === 0 ? GROUPS : positionals.filter(isGroup), json: values.json ?? null };
}
