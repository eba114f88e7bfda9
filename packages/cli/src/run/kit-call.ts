import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { keptThroughSudo } from "@aegis/sdk/daemon-env";
import { type InstalledKit, installedKits } from "@aegis/sdk/installed-kits";

export interface KitCall {
  kit: string;
  verb: string;
  /** of the person, behind the kit's name */
  args: string[];
}

/** What a kit may be told by the environment, also behind sudo. */
const SETTINGS = /^(CLAW|TELEGRAM|OPENAI|ANTHROPIC)_/;

/**
 * The command line of a kit's own program.
 * @throws AegisError `kit_not_found`, or `invalid_request` for a verb that the kit does not have
 */
export function kitCommandLine(
  { kit, verb, args }: KitCall,
  machine: { node: string; isRoot: boolean; env: Readonly<Record<string, string | undefined>> },
  kits: InstalledKit[] = installedKits(),
): [program: string, ...args: string[]] {
  const found = kits.find(({ name }) => name === kit);
  if (found === undefined) {
    const known = kits.map(({ name }) => name).join(", ") || "none";
    throw new AegisError("invalid_request", `there is no kit ${kit}: the kits here are ${known}`);
  }
  const command = found.commands[verb];
  if (command === undefined) {
    const verbs = Object.keys(found.commands).join(", ");
    throw new AegisError("invalid_request", `the kit ${kit} has no ${verb}: it has ${verbs}`);
  }
  const quiet = "--disable-warning=ExperimentalWarning";
  const line = [machine.node, quiet, join(found.folder, command.entry), ...(command.args ?? []), ...args] as const;
  if (command.root !== true || machine.isRoot) return [...line];
  const settings = Object.keys(machine.env).filter((name) => SETTINGS.test(name));
  const kept = [keptThroughSudo(machine.env), ...settings].filter((names) => names !== "").join(",");
  return ["sudo", `--preserve-env=${kept}`, ...line];
}
