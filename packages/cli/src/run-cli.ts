import { Command, CommanderError } from "commander";
import { AegisError, shellExitCode, type ErrorBody } from "@aegis/protocol/errors";
import type { Cli } from "./cli.ts";
import { entries, type Entry, type Verb } from "./command-table.ts";
import { ROOT_HELP } from "./root-help.ts";

/** A program with commands: `aegis`, and the one inside of instances. */
export interface Program {
  name: string;
  version: string;
  entries: readonly Entry[];
  /** one screen */
  help: string;
}

const AEGIS: Program = { name: "aegis", version: "0.1.0", entries, help: ROOT_HELP };
const USAGE_EXIT_CODE = 2;

/** @returns the exit code: 0, what the workload ended with, 126 or 127 for a command that is none, 1 for another error, 2 for a wrong command line */
export async function runCli(argv: string[], cli: Cli, program = AEGIS): Promise<number> {
  const end = argv.indexOf("--");
  const head = end === -1 ? argv : argv.slice(0, end);
  const line: Line = { program, argv, words: head.filter((word) => word !== "--json") };
  // known before the line is parsed, so that a wrong line is reported as JSON too
  cli.json = head.includes("--json");
  if (end !== -1 && verbOf(line)?.takesCommand === true) {
    cli.tail = argv.slice(end + 1);
    line.argv = head;
  }
  try {
    await (
      await commandsOf(line, cli)
    ).parseAsync(isIncomplete(line) ? [...line.argv, "--help"] : line.argv, { from: "user" });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usageExit(error, cli, line);
    if (!(error instanceof AegisError)) throw error;
    report(error.toBody(), cli, line);
    return shellExitCode(error.code) ?? 1;
  }
}

interface Line {
  program: Program;
  argv: string[];
  /** noun, verb and what follows, up to `--` */
  words: string[];
}

/** Builds only the command that is asked for; the others are known by name and summary. */
async function commandsOf(line: Line, cli: Cli): Promise<Command> {
  const root = configured(new Command(line.program.name), cli)
    .version(line.program.version, "-V, --version")
    .enablePositionalOptions()
    .helpCommand(false);
  root.helpInformation = () => line.program.help;
  root.hook("preAction", (_root, command) => {
    cli.json = command.optsWithGlobals<{ json?: boolean }>().json === true;
  });
  const asked = verbOf(line);
  for (const entry of line.program.entries) {
    const command = configured(root.command(entry.name).description(entry.summary), cli);
    if ("verbs" in entry) await addVerbs(command, entry.verbs, asked, cli);
    else if (entry === asked) await addAction(command, entry, cli);
  }
  return root;
}

async function addVerbs(noun: Command, verbs: Verb[], asked: Verb | undefined, cli: Cli): Promise<void> {
  noun
    .helpCommand(false)
    .usage("VERB ...")
    .configureHelp({ subcommandTerm: (verb) => verb.name() });
  for (const verb of verbs) {
    const command = configured(noun.command(verb.name).description(verb.summary), cli);
    if (asked === verb) await addAction(command, verb, cli);
  }
}

async function addAction(command: Command, verb: Verb, cli: Cli): Promise<void> {
  const { register } = await verb.load();
  register(command, cli);
  // without `--`, everything behind the first word belongs to the workload
  if (verb.takesCommand === true && verb.name !== "start") command.passThroughOptions(cli.tail === null);
}

function configured(command: Command, cli: Cli): Command {
  return command
    .option("--json", "machine-readable output, also for errors")
    .exitOverride()
    .allowExcessArguments(false)
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => void cli.context.stdout.write(text),
      // reported once, as one line, in usageExit
      writeErr: () => undefined,
      getOutHelpWidth: () => 100,
    });
}

function usageExit(error: CommanderError, cli: Cli, line: Line): number {
  if (error.exitCode === 0) return 0;
  const what = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ");
  report({ error: `${what}: see \`${commandPath(line)} --help\``, code: "invalid_request" }, cli, line);
  return USAGE_EXIT_CODE;
}

function report(body: ErrorBody, cli: Cli, { program }: Line): void {
  if (cli.json) cli.printJson(body);
  else cli.context.stderr.write(`${cli.notePalette.red(`${program.name}:`)} ${body.error}\n`);
}

const entryOf = (line: Line): Entry | undefined => line.program.entries.find((one) => one.name === line.words[0]);

/** `aegis` or `aegis instance` alone: whoever writes that wants to know what there is. */
const isIncomplete = (line: Line) =>
  line.words.length === 0 || (line.words.length === 1 && verbOf(line) === undefined && entryOf(line) !== undefined);

function verbOf(line: Line): Verb | undefined {
  const entry = entryOf(line);
  if (entry === undefined || !("verbs" in entry)) return entry;
  return entry.verbs.find((one) => one.name === line.words[1]);
}

function commandPath(line: Line): string {
  const entry = entryOf(line);
  const verb = verbOf(line);
  return [line.program.name, entry?.name, verb === entry ? undefined : verb?.name]
    .filter((word) => word !== undefined)
    .join(" ");
}
