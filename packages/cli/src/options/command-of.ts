import { InvalidArgumentError } from "commander";

/** The command for the instance: what stands behind `--`, or without one the words at the end. */
export function commandOf(tail: string[] | null, words: string[]): string[] {
  if (tail !== null && words.length > 0)
    throw new InvalidArgumentError(`two commands, \`${words.join(" ")}\` and what stands behind --`);
  const command = tail ?? words;
  if (command.length === 0) throw new InvalidArgumentError("no command: write it behind --");
  return command;
}
