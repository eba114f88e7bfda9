import { parseArgs } from "node:util";

const USUAL = ["boot", "exec", "running", "paused", "stopped", "end", "memory", "power"] as const;
const GROUPS = [...USUAL, "microvm", "claw", "tools"] as const;
export type Group = (typeof GROUPS)[number];
const CLAW_PARTS = ["boots", "replies", "idle", "swap"] as const;
export type ClawPart = (typeof CLAW_PARTS)[number];

export interface BenchOptions {
  groups: readonly Group[];
  /** where the raw numbers go, or null */
  json: string | null;
  /** how long the bot of `claw` is left alone */
  idleMinutes: number;
  clawParts: readonly ClawPart[];
}

const IDLE_MINUTES = 10;

export const HELP = `npm run bench -- [options] [group ...]

Measures aegisd beside the raw runtime, in the same run, and prints one table. Without a group: all of them but
microvm, claw and tools, about nine minutes.

  boot      create to the workload's first output, with the image in place
  exec      \`true\` in a running instance
  running   first byte through the public port of a running instance
  paused    first byte through the public port of a paused instance, which it wakes; and the pause before
  stopped   first byte through the public port of a stopped instance, which it boots
  end       stop, and delete, of a running instance
  memory    resident memory of the harness and of aegisd, and aegisd's CPU time while all instances are paused
  power     what a pause gives back, and aegisd with 100 paused instances; about four minutes, with a swap file of its
            own for as long
  microvm   virtual machines under emulation, beside the same machine by bare qemu: boots, cold and warm, pauses, wakes,
            hibernation, memory; about four minutes
  claw      the bot of Claw Kit with the real OpenClaw, beside the same OpenClaw bare on the host: boots, replies, memory
            and CPU, awake and asleep; about twenty minutes, at the end with a swap file of its own
  tools     the bot's own tools in the sandbox of its chat, beside the same tools of OpenClaw bare on the host; about three
            minutes, and part of claw

  --json FILE         also writes every single measurement
  --idle-minutes N    how long claw leaves the bot alone (${IDLE_MINUTES})
  --parts A,B         only these of claw: ${CLAW_PARTS.join(", ")}; each alone takes under four minutes, but for idle
  --help              this text

It runs as root, in an Aegis home of its own that is gone afterwards. Nothing here can fail for being slow.
`;

const isGroup = (name: string): name is Group => GROUPS.some((group) => group === name);
const isClawPart = (name: string): name is ClawPart => CLAW_PARTS.some((part) => part === name);

/** @returns null when help was asked for. @throws Error for an argument that means nothing */
export function parseOptions(args: string[]): BenchOptions | null {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: "string" },
      "idle-minutes": { type: "string" },
      parts: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return null;
  const unknown = positionals.find((name) => !isGroup(name));
  if (unknown !== undefined) throw new Error(`there is no group "${unknown}"; the groups are ${GROUPS.join(", ")}`);
  const idleMinutes = Number(values["idle-minutes"] ?? IDLE_MINUTES);
  if (!(idleMinutes > 0 && idleMinutes <= 1000)) throw new Error("--idle-minutes must be a number of minutes, above 0");
  const parts = values.parts?.split(",") ?? CLAW_PARTS;
  const strange = parts.find((name) => !isClawPart(name));
  if (strange !== undefined) throw new Error(`claw has no part "${strange}"; its parts are ${CLAW_PARTS.join(", ")}`);
  const groups = positionals.length === 0 ? USUAL : positionals.filter(isGroup);
  return { groups, json: values.json ?? null, idleMinutes, clawParts: parts.filter(isClawPart) };
}
