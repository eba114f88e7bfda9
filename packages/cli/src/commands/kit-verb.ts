import { become } from "../become.ts";
import type { Register } from "../command-table.ts";
import { kitCommandLine } from "../run/kit-call.ts";

/** A verb that the kit itself answers to: its program takes our place, with our terminal, signals and exit code. */
export const kitVerb =
  (verb: string): Register =>
  (command, cli) => {
    command.parent?.enablePositionalOptions();
    command
      .argument("<kit>", "as in claw; see aegis kit list")
      .argument("[args...]", "options and arguments of the kit: aegis kit VERB KIT --help")
      .allowUnknownOption()
      .passThroughOptions()
      .action(async (kit: string, args: string[]) => {
        const { env } = cli.context;
        const asked = cli.json && !args.includes("--json") ? ["--json", ...args] : args;
        const machine = { node: process.execPath, isRoot: process.getuid?.() === 0, env };
        cli.exitCode = await become(kitCommandLine({ kit, verb, args: asked }, machine), {
          ...env,
          AEGIS_HOME: cli.home,
        });
      });
  };
